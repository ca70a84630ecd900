/* SPDX-License-Identifier: MIT */
/* Rows of option tables for the limits: P is what stands before each name. */
#ifndef BLOCK_THROTTLE_KEYS_H
#define BLOCK_THROTTLE_KEYS_H

#include "util/options.h"

#define THROTTLE_NUMBER(name_, help_) { name_, OPT_NUMBER, help_, .negative = true }
#define THROTTLE_KEY(name_, what_) \
    THROTTLE_NUMBER(name_, what_ " in a second"), THROTTLE_NUMBER(name_ "-max", what_ " in a burst"), THROTTLE_NUMBER(name_ "-max-length", "seconds of a burst")
#define THROTTLE_KEYS(P) \
    THROTTLE_KEY(P "bps-total", "bytes"), THROTTLE_KEY(P "bps-read", "bytes read"), THROTTLE_KEY(P "bps-write", "bytes written"), \
    THROTTLE_KEY(P "iops-total", "requests"), THROTTLE_KEY(P "iops-read", "reads"), THROTTLE_KEY(P "iops-write", "writes"), \
    THROTTLE_NUMBER(P "iops-size", "a longer request counts as several")

#define THROTTLE_OLD_KEY(name_, must_) \
    { name_, OPT_NUMBER, .must = must_, .negative = true }, { name_ "_max", OPT_NUMBER, .negative = true }
#define THROTTLE_OLD_KEYS(must_) \
    THROTTLE_OLD_KEY("bps", must_), THROTTLE_OLD_KEY("bps_rd", must_), THROTTLE_OLD_KEY("bps_wr", must_), THROTTLE_OLD_KEY("iops", must_), \
    THROTTLE_OLD_KEY("iops_rd", must_), THROTTLE_OLD_KEY("iops_wr", must_), { "iops_size", OPT_NUMBER, .negative = true }

#endif
