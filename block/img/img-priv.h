/* SPDX-License-Identifier: MIT */
/* What the verbs share: options, opening, messages, progress. */
#ifndef BLOCK_IMG_IMG_PRIV_H
#define BLOCK_IMG_IMG_PRIV_H

#include <getopt.h>

#include "block/block.h"
#include "block/driver.h"
#include "block/image.h"

typedef struct Img Img;

typedef struct ImgOpt {
    const char *name;               /* long; NULL: only a letter */
    int id;                         /* what img_getopt() returns: its letter, or an OPT_ below */
    const char *arg;                /* its argument in help; NULL: takes none */
    const char *help;
    char also;                      /* another letter of it */
    bool must, many, hidden;        /* needed; may come several times; not in help */
} ImgOpt;

typedef struct ImgVerb {
    const char *name, *operands;
    int (*run)(Img *im, int argc, char **argv);
    const ImgOpt *options;          /* ends with {} */
    const char *brief, *about, *example;
} ImgVerb;
extern const ImgVerb img_verbs[];   /* ends with {} */

struct Img {
    const char *name;               /* what we are called: prefix of messages */
    const ImgVerb *verb;
    Session *session;
    Loop *loop;
    bool quiet, progress;
    bool image_opts, target_image_opts, has_format;
    bool force_share;
    bool copies;                    /* convert, dd: nobody may write what is read, not even we in the target */
    double percent;                 /* last printed */
    uint64_t rate;                  /* -r: bytes in a second that may be written; 0: any */
    uint64_t paid;                  /* bytes since rate_start */
    int64_t rate_start;
};

/* Verbs, one function each, in the file of their name. */
int img_create(Img *im, int argc, char **argv);
int img_info(Img *im, int argc, char **argv);
int img_check(Img *im, int argc, char **argv);
int img_convert(Img *im, int argc, char **argv);
int img_map(Img *im, int argc, char **argv);
int img_compare(Img *im, int argc, char **argv);
int img_measure(Img *im, int argc, char **argv);
int img_resize(Img *im, int argc, char **argv);
int img_rebase(Img *im, int argc, char **argv);
int img_commit(Img *im, int argc, char **argv);
int img_snapshot(Img *im, int argc, char **argv);
int img_bench(Img *im, int argc, char **argv);
int img_dd(Img *im, int argc, char **argv);
int img_amend(Img *im, int argc, char **argv);
int img_bitmap(Img *im, int argc, char **argv);

/* ---- messages: "NAME: text" on stderr; both return 1, the exit status ---- */
int img_error(Img *im, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
int img_fail(Img *im, Error *err);              /* prints and frees, with the hint */
int img_try_help(Img *im, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Called by our own name, messages say more than the ones that scripts know. */
bool img_talks(const Img *im);
/* Lines that -q silences. */
void img_print(Img *im, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* -p: a line for each percent, on stdout.  SIGUSR1: one line, on stderr, -p or not. */
void img_progress(Img *im, double percent);
void img_progress_end(Img *im);

/* -r: false with the message printed. */
bool img_rate(Img *im, const char *text);
/* Before `len` bytes are written: waits until the rate allows them.  Fiber only. */
void img_pay(Img *im, uint64_t len);

/* ---- options ---- */
enum { OPT_OUTPUT = 256, OPT_BACKING_CHAIN, OPT_OBJECT, OPT_IMAGE_OPTS, OPT_PREALLOCATION, OPT_SHRINK, OPT_TARGET_IMAGE_OPTS, OPT_TARGET_IS_ZERO,
       OPT_SALVAGE, OPT_BITMAPS, OPT_SKIP_BROKEN, OPT_PATTERN, OPT_FLUSH_INTERVAL, OPT_NO_DRAIN, OPT_FORCE, OPT_LIMITS,
       OPT_ADD, OPT_REMOVE, OPT_REMOVE_ALL, OPT_CLEAR, OPT_ENABLE, OPT_DISABLE, OPT_MERGE };
/* The next option of im->verb's table; what all verbs mean the same by (-h -q -p -U --image-opts --object) is taken care of.  -1 at the end, -2 when a message was printed. */
int img_getopt(Img *im, int argc, char **argv);
void img_verb_help(Img *im, const ImgVerb *v);
char *img_verb_usage(const ImgVerb *v);         /* "create [-f FMT] ... FILE [SIZE]"; caller frees */
char *img_opt_forms(const ImgOpt *o);           /* "-f, --format FMT"; caller frees */
bool img_is_json(Img *im, const char *value, bool *json);       /* --output; false: message printed */
bool img_size(Img *im, const char *text, const char *what, uint64_t unit, uint64_t *out);
bool img_cache(Img *im, const char *mode, const char *what, unsigned *flags);
/* -o of create and convert: "a=b,c" over earlier ones. */
bool img_parse_create(Img *im, const BlkDriver *drv, const char *text, Json **options, Error **errp);
int img_print_keys(const OptKey *keys);                  /* lines of -o help; returns 0 */
/* -o help of creation; with a name of a file, those of the file too.  Returns 0. */
int img_create_help(const BlkDriver *drv, bool with_file);
bool img_wants_help(const char *text);

/* ---- opening ---- */
/* NULL, with the message printed: "Could not open 'NAME': reason". */
Blk *img_open(Img *im, const char *name, const char *format, unsigned flags);
Blk *img_open_opts(Img *im, const char *name, bool opts, const char *format, unsigned flags, Error **errp);
/* With options of a node, taken over; name may be NULL. */
Blk *img_open_with(Img *im, const char *name, Json *o, unsigned flags, Error **errp);
/* -l: what is read from now on is a snapshot; false with the message printed. */
bool img_load_snapshot(Img *im, Blk *b, const char *name);
/* The three lines about a raw image that nobody called raw. */
void img_warn_raw(const Blk *b);
/* -e and -6 of old guides: the first is answered with what to write today (returns 1), the second is -o compat6=on of vmdk (0, or 1 and a message). */
int img_old_encrypt(Img *im);
int img_old_compat6(Img *im, const BlkDriver *drv, const char *name, Json *options);
/* Nothing but zeroes? */
bool img_is_zero(const void *buf, size_t len);

/* The table of `info` and `snapshot -l`, of BlkSnapshot; nothing when the list is empty. */
void img_print_snapshots(const GPtrArray *list);

/* Run fn in a fiber on the tool's loop until it ends. */
static inline void img_run(Img *im, FiberFn *fn, void *opaque)
{
    fiber_call(im->loop, fn, opaque);
}

#endif
