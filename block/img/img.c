/* SPDX-License-Identifier: MIT */
#include "block/img/img.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/img/img-priv.h"
#include "util/size.h"
#include "util/suggest.h"

/* ---- messages ---- */

int img_error(Img *im, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", im->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

int img_fail(Img *im, Error *err)
{
    img_error(im, "%s", error_message(err));
    fputs(error_hint_text(err), stderr);
    error_free(err);
    return 1;
}

bool img_talks(const Img *im)
{
    return strncmp(im->name, "qemu-img", 8) != 0;
}

int img_try_help(Img *im, const char *fmt, ...)
{
    g_autofree char *text = NULL, *verb = im->verb ? g_strdup_printf("%s ", im->verb->name) : NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    img_error(im, "%s", text);
    fprintf(stderr, "Try '%s %s--help' for more information\n", im->name, im->verb && img_talks(im) ? verb : "");
    return 1;
}

void img_print(Img *im, const char *fmt, ...)
{
    va_list ap;

    if (!im->quiet) {
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
    }
}

/* SIGUSR1 asks how far a verb without -p is; a handler can only be told through a global. */
static volatile sig_atomic_t asked;

static void on_sigusr1(int sig)
{
    (void)sig;
    asked = 1;
}

static void listen_to_sigusr1(void)
{
    struct sigaction a = { .sa_handler = on_sigusr1, .sa_flags = SA_RESTART };

    sigaction(SIGUSR1, &a, NULL);
}

void img_progress(Img *im, double percent)
{
    if (asked) {
        asked = 0;
        fprintf(stderr, "    (%3.2f/100%%)\n", percent);
    }
    if (im->progress && !im->quiet && (percent - im->percent >= 1.0 || percent == 0 || (percent >= 100 && im->percent < 100))) {
        im->percent = percent;
        printf("    (%3.2f/100%%)\r", percent);
        fflush(stdout);
    }
}

void img_progress_end(Img *im)
{
    if (im->progress && !im->quiet) {
        printf("    (100.00/100%%)\r\n");
    }
}

/* ---- rate ---- */

bool img_rate(Img *im, const char *text)
{
    return img_size(im, text, "rate limit", 1, &im->rate);
}

/* A tenth of a second may go ahead, so that short pieces do not each wait. */
void img_pay(Img *im, uint64_t len)
{
    int64_t due;

    if (!im->rate) {
        return;
    }
    if (!im->rate_start) {
        im->rate_start = loop_now();
    }
    due = im->rate_start + (int64_t)((double)im->paid / im->rate * 1e9) - 100000000;
    im->paid += len;
    if (due > loop_now()) {
        fiber_sleep(due - loop_now());
    }
}

/* ---- options ---- */

bool img_is_json(Img *im, const char *value, bool *json)
{
    *json = !strcmp(value, "json");
    if (!*json && strcmp(value, "human")) {
        img_error(im, "--output must be used with human or json as argument.");
        return false;
    }
    return true;
}

/* "999999999T" is a size, and too large; "1Q" is none. */
static bool looks_like_size(const char *text)
{
    size_t n = strspn(text, "0123456789.");

    return n && (!text[n] || (strchr("bBkKmMgGtTpPeE", text[n]) && !text[n + 1]));
}

bool img_size(Img *im, const char *text, const char *what, uint64_t unit, uint64_t *out)
{
    Error *err = NULL;

    if (!size_parse(text, unit, out, &err) || *out > INT64_MAX) {
        if (looks_like_size(text)) {
            img_error(im, "Invalid %s specified. Must be between 0 and 9223372036854775807.", what);
        } else {
            img_error(im, "Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
            img_error(im, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
        }
        error_free(err);
        return false;
    }
    return true;
}

bool img_cache(Img *im, const char *mode, const char *what, unsigned *flags)
{
    if (!blk_cache_flags(mode, flags, NULL)) {
        img_error(im, "Invalid %scache option: %s", what, mode);
        return false;
    }
    return true;
}

bool img_wants_help(const char *text)
{
    g_auto(GStrv) parts = options_split(text);

    for (char **p = parts; *p; p++) {
        if (!strcmp(*p, "help") || !strcmp(*p, "?")) {
            return true;
        }
    }
    return false;
}

bool img_parse_create(Img *im, const BlkDriver *drv, const char *text, Json **options, Error **errp)
{
    g_autofree OptKey *keys = blk_create_keys(drv);
    OptGroup g = { .name = drv->name, .keys = keys };
    Json *o = options_parse(&g, text, errp);

    if (!o) {
        return false;
    }
    if (!*options) {
        *options = o;
        return true;
    }
    options_merge(&g, *options, o);
    json_unref(o);
    return true;
}

/* ---- opening ---- */

Blk *img_open_with(Img *im, const char *name, Json *o, unsigned flags, Error **errp)
{
    bool writes = flags & BLK_O_RDWR, shared = im->force_share && !writes;
    unsigned perm = BLK_PERM_READ | (writes ? BLK_PERM_WRITE | BLK_PERM_RESIZE : 0);
    unsigned share = im->copies && !writes && !shared ? BLK_PERM_READ | BLK_PERM_WRITE_SAME : BLK_PERM_ALL;

    return blk_open(im->session, name, o, flags | (shared ? BLK_O_FORCE_SHARE : 0), perm, share, errp);
}

Blk *img_open_opts(Img *im, const char *name, bool opts, const char *format, unsigned flags, Error **errp)
{
    static const OptKey none[] = { {} };
    static const OptGroup any = { .name = "source", .open = true, .keys = none };
    Json *o = json_object();

    if (opts) {
        json_unref(o);
        o = options_parse(&any, name, errp);
        if (!o) {
            return NULL;
        }
    }
    if (format) {
        json_set_string(o, "driver", format);
    }
    return img_open_with(im, opts ? NULL : name, o, flags, errp);
}

Blk *img_open(Img *im, const char *name, const char *format, unsigned flags)
{
    Error *err = NULL;
    Blk *b = img_open_opts(im, name, im->image_opts, format, flags, &err);

    if (!b) {
        if (img_talks(im) && strstr(error_message(err), "'key-secret' is required")) {
            error_hint(&err, "the password: --object secret,id=ID,file=PATH --image-opts driver=FORMAT,file.filename=%s,encrypt.key-secret=ID (luks: key-secret=ID)\n", name);
        }
        error_prepend(&err, "Could not open '%s': ", name);
        img_fail(im, err);
    }
    return b;
}

bool img_load_snapshot(Img *im, Blk *b, const char *name)
{
    const BlkImageOps *ops = blk_node(b)->drv->image;
    Error *err = NULL;

    if (g_str_has_prefix(name, "snapshot.name=") || g_str_has_prefix(name, "snapshot.id=")) {
        name = strchr(name, '=') + 1;
    }
    if (!ops || !ops->snapshot_load || !blk_snapshot_load(b, name, &err)) {
        if (!err) {
            error_set(&err, "Can't find snapshot");
        }
        error_prepend(&err, "Failed to load snapshot: ");
        img_fail(im, err);
        return false;
    }
    return true;
}

void img_warn_raw(const Blk *b)
{
    const BlkNode *n = blk_node(b);

    if (n->probed && !strcmp(n->drv->name, "raw") && !n->read_only) {
        fprintf(stderr, "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
                "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n"
                "         Specify the 'raw' format explicitly to remove the restrictions.\n", n->filename);
    }
}

bool img_is_zero(const void *buf, size_t len)
{
    const unsigned char *p = buf;

    return len == 0 || (p[0] == 0 && !memcmp(p, p + 1, len - 1));
}

/* ---- main ---- */

static void print_version(const Img *im, const char *argv0)
{
    if (!strncmp(im->name, "qemu-img", 8)) {
        printf("qemu-img version 8.2.0 (Rhea 0.1.0)\n");
    } else {
        printf("%s version 0.1.0\n", im->name);
    }
    printf("MIT licence; written by the authors of Rhea\n");
}

static int print_help(const Img *im)
{
    g_autofree const BlkDriver **list = blk_drivers();

    print_version(im, im->name);
    printf("usage: %s [standard options] command [command options]\n"
           "Create, look at, convert and mend disk images\n\n"
           "    '-h', '--help'       display this help and exit\n"
           "    '-V', '--version'    output version information and exit\n\n"
           "Command syntax:\n", im->name);
    for (const ImgVerb *v = img_verbs; v->name; v++) {
        g_autofree char *usage = img_verb_usage(v);

        printf("  %s\n", usage);
    }
    printf("\nSupported formats:");
    for (unsigned i = 0; list[i]; i++) {
        printf(" %s", list[i]->name);
    }
    printf("\n");
    return 0;
}

static const ImgVerb *find_verb(const char *name)
{
    for (const ImgVerb *v = img_verbs; v->name; v++) {
        if (!strcmp(v->name, name)) {
            return v;
        }
    }
    return NULL;
}

static int unknown_verb(Img *im, const char *name)
{
    Suggest *s = suggest_new(name);
    g_autofree char *near = NULL;

    for (const ImgVerb *v = img_verbs; v->name; v++) {
        suggest_add(s, v->name);
    }
    near = suggest_text(s);
    img_try_help(im, "Command not found: %s", name);
    if (near) {
        fprintf(stderr, "did you mean %s?\n", near);
    }
    return 1;
}

static int run_verb(Img *im, const ImgVerb *v, int argc, char **argv)
{
    int status;

    im->verb = v;
    listen_to_sigusr1();
    im->loop = loop_new(im->name);
    loop_attach(im->loop);
    im->session = session_new();
    optind = 1;
    status = v->run(im, argc, argv);
    session_free(im->session);
    loop_free(im->loop);
    return status;
}

int img_main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    Img im = { .name = slash ? slash + 1 : argv[0] };
    const ImgVerb *v;

    if (argc < 2) {
        return img_try_help(&im, "Not enough arguments");
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        print_version(&im, argv[0]);
        return 0;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        return print_help(&im);
    }
    if (!strcmp(argv[1], "help") && img_talks(&im)) {
        v = argc > 2 ? find_verb(argv[2]) : NULL;
        return v ? (img_verb_help(&im, v), 0) : print_help(&im);
    }
    if (argv[1][0] == '-') {
        return img_try_help(&im, "unrecognized option '%s'", argv[1]);
    }
    v = find_verb(argv[1]);
    return v ? run_verb(&im, v, argc - 1, argv + 1) : unknown_verb(&im, argv[1]);
}
