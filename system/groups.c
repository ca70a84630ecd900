/* SPDX-License-Identifier: MIT */
/* Option groups that belong to no subsystem. Those of nodes, character devices and back ends are rows of theirs. */
#include "util/options.h"

#include "util/size.h"

#define GROUP(row, ...) static const OptGroup row = { __VA_ARGS__ }; OPT_GROUP(row)

static const OptKey machine_keys[] = {
    { "type", OPT_STRING, .help = "board" },
    { "accel", OPT_STRING, .help = "accelerators, first to last, with ':' between" },
    { "kernel", OPT_STRING, .help = "kernel image" }, { "initrd", OPT_STRING, .help = "initial ram disk" },
    { "append", OPT_STRING, .help = "kernel command line" }, { "dtb", OPT_STRING, .help = "device tree" },
    { "firmware", OPT_STRING, .help = "firmware image" },
    { "memory-backend", OPT_STRING, .help = "object that is the memory" },
    {}
};
GROUP(machine_group, .name = "machine", .implied = "type", .keys = machine_keys, .open = true);

static const OptKey accel_keys[] = { { "accel", OPT_STRING, .must = true }, {} };
GROUP(accel_group, .name = "accel", .implied = "accel", .keys = accel_keys, .open = true);

static const OptKey smp_keys[] = {
    { "cpus", OPT_NUMBER, .max = 1 << 20, .help = "processors at the start" }, { "maxcpus", OPT_NUMBER, .max = 1 << 20 },
    { "sockets", OPT_NUMBER, .max = 1 << 20 }, { "dies", OPT_NUMBER, .max = 1 << 20 }, { "clusters", OPT_NUMBER, .max = 1 << 20 },
    { "cores", OPT_NUMBER, .max = 1 << 20 }, { "threads", OPT_NUMBER, .max = 1 << 20 }, {}
};
GROUP(smp_group, .name = "smp-opts", .implied = "cpus", .keys = smp_keys);

static const OptKey memory_keys[] = {
    { "size", OPT_SIZE, .unit = MiB, .max = 1ull << 52 }, { "slots", OPT_NUMBER, .max = 256 }, { "maxmem", OPT_SIZE, .max = 1ull << 52 }, {}
};
GROUP(memory_group, .name = "memory", .implied = "size", .keys = memory_keys);

static const OptKey boot_keys[] = {
    { "order", OPT_STRING, .absent = "boards here have no drive letters; give devices a bootindex=" },
    { "once", OPT_STRING, .absent = "boards here have no drive letters; give devices a bootindex=" },
    { "menu", OPT_BOOL, .def = "off", .help = "firmware shows its menu" },
    { "strict", OPT_BOOL, .def = "off", .help = "start from devices with a bootindex only" },
    { "splash", OPT_STRING, .absent = "there is no display" },
    { "splash-time", OPT_NUMBER, .max = 65535, .help = "milliseconds that the menu waits" },
    { "reboot-timeout", OPT_NUMBER, .max = 65535, .help = "milliseconds until a failed boot is tried again" }, {}
};
GROUP(boot_group, .name = "boot-opts", .implied = "order", .keys = boot_keys);

static const OptKey iscsi_keys[] = {
    { "user", OPT_STRING, .help = "who we are (CHAP)" }, { "password", OPT_STRING, .help = "in the clear; better is password-secret" },
    { "password-secret", OPT_STRING, .help = "id of a secret object" }, { "header-digest", OPT_STRING, .help = "none, crc32c, none-crc32c, crc32c-none" },
    { "initiator-name", OPT_STRING, .help = "our own name" }, { "timeout", OPT_NUMBER, .max = 1000000, .help = "seconds until a request without an answer fails; 0: never" }, {}
};
GROUP(iscsi_group, .name = "iscsi", .keys = iscsi_keys);

static const OptKey name_keys[] = {
    { "guest", OPT_STRING, .help = "name of the guest" }, { "process", OPT_STRING, .help = "name of the process" },
    { "debug-threads", OPT_BOOL, .def = "on", .help = "threads have names" }, {}
};
GROUP(name_group, .name = "name", .implied = "guest", .keys = name_keys);

static const OptKey rtc_keys[] = {
    { "base", OPT_STRING, .def = "utc", .help = "utc, localtime or a date" }, { "clock", OPT_ENUM, .values = "host|rt|vm", .def = "host" },
    { "driftfix", OPT_ENUM, .values = "none|slew", .absent = "there is no periodic RTC interrupt to make up for" }, {}
};
GROUP(rtc_group, .name = "rtc", .keys = rtc_keys);

static const OptKey icount_keys[] = {
    { "shift", OPT_STRING, .def = "auto", .help = "an instruction takes 2^N ns; auto: as long as on this host" },
    { "align", OPT_BOOL, .def = "off", .help = "wait when guest time is ahead of the host's" }, { "sleep", OPT_BOOL, .def = "on", .help = "idle time passes as on the host" },
    { "rr", OPT_STRING, .absent = "there is no replay" }, { "rrfile", OPT_STRING, .absent = "there is no replay" },
    { "rrsnapshot", OPT_STRING, .absent = "there is no replay" }, {}
};
GROUP(icount_group, .name = "icount", .implied = "shift", .keys = icount_keys);

static const OptKey action_keys[] = {
    { "reboot", OPT_ENUM, .values = "reset|shutdown", .def = "reset" }, { "shutdown", OPT_ENUM, .values = "poweroff|pause", .def = "poweroff" },
    { "panic", OPT_ENUM, .values = "pause|shutdown|exit-failure|none", .def = "shutdown" },
    { "watchdog", OPT_STRING, .absent = "there is no watchdog" }, {}
};
GROUP(action_group, .name = "action", .keys = action_keys);

static const OptKey mon_keys[] = {
    { "chardev", OPT_STRING, .must = true }, { "mode", OPT_ENUM, .values = "readline|control", .def = "readline" },
    { "pretty", OPT_BOOL, .def = "off", .help = "mode=control: answers on many lines" }, {}
};
GROUP(mon_group, .name = "mon", .implied = "chardev", .keys = mon_keys);

static const OptKey display_keys[] = { { "type", OPT_STRING, .must = true }, {} };
GROUP(display_group, .name = "display", .implied = "type", .select = "type", .keys = display_keys);
static const OptVariant display_none = { .group = "display", .name = "none", .help = "no display" };
OPT_VARIANT(display_none);
#define NO_DISPLAY(word, text) \
    static const OptVariant display_##word = { .group = "display", .name = text, .absent = "use -display none or -nographic" }; \
    OPT_VARIANT(display_##word)
NO_DISPLAY(gtk, "gtk");
NO_DISPLAY(sdl, "sdl");
NO_DISPLAY(vnc, "vnc");
NO_DISPLAY(curses, "curses");
NO_DISPLAY(egl, "egl-headless");
NO_DISPLAY(dbus, "dbus");
NO_DISPLAY(spice, "spice-app");

static const OptKey overcommit_keys[] = {
    { "mem-lock", OPT_BOOL, .def = "off" }, { "cpu-pm", OPT_BOOL, .absent = "processors that sleep leave the host's alone" }, {}
};
GROUP(overcommit_group, .name = "overcommit", .keys = overcommit_keys);

static const OptKey add_fd_keys[] = {
    { "fd", OPT_NUMBER, .must = true, .help = "open descriptor" }, { "set", OPT_NUMBER, .must = true, .help = "number of the set" },
    { "opaque", OPT_STRING, .help = "free text" }, {}
};
GROUP(add_fd_group, .name = "add-fd", .keys = add_fd_keys);

static const OptKey trace_keys[] = {
    { "enable", OPT_STRING, .help = "pattern of names" }, { "events", OPT_STRING, .help = "file with a pattern per line" },
    { "file", OPT_STRING, .absent = "trace lines go to the log; -D names its file" }, {}
};
GROUP(trace_group, .name = "trace", .implied = "enable", .keys = trace_keys);

static const OptKey fw_cfg_keys[] = {
    { "name", OPT_STRING, .must = true, .help = "as the guest sees it: opt/..." }, { "file", OPT_STRING }, { "string", OPT_STRING },
    { "gen_id", OPT_STRING, .absent = "no object makes such data" }, {}
};
GROUP(fw_cfg_group, .name = "fw_cfg", .implied = "name", .keys = fw_cfg_keys);

/* Properties are checked by the device type. */
static const OptKey device_keys[] = { { "driver", OPT_STRING, .must = true }, { "id", OPT_ID }, { "bus", OPT_STRING }, {} };
GROUP(device_group, .name = "device", .implied = "driver", .keys = device_keys, .open = true);
