/* SPDX-License-Identifier: MIT */
/* Options of a verb by its table: parsing, usage, help. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/img/img-priv.h"
#include "io/object.h"

static bool is_letter(const ImgOpt *o)
{
    return o->id < 256;
}

/* ":hf:q" and the long names, as getopt wants them. */
static struct option *for_getopt(const ImgOpt *rows, GString *letters)
{
    GArray *all = g_array_new(true, true, sizeof(struct option));

    g_string_append_c(letters, ':');
    for (const ImgOpt *o = rows; o->id; o++) {
        const char *colon = o->arg ? ":" : "";

        if (is_letter(o)) {
            g_string_append_printf(letters, "%c%s", o->id, colon);
        }
        if (o->also) {
            g_string_append_printf(letters, "%c%s", o->also, colon);
        }
        if (o->name) {
            g_array_append_val(all, ((struct option){ o->name, o->arg ? required_argument : no_argument, NULL, o->id }));
        }
    }
    return (struct option *)(void *)g_array_free(all, false);
}

static int next_option(const ImgOpt *rows, int argc, char **argv)
{
    g_autoptr(GString) letters = g_string_new(NULL);
    g_autofree struct option *all = for_getopt(rows, letters);
    int c;

    opterr = 0;
    c = getopt_long(argc, argv, letters->str, all, NULL);
    for (const ImgOpt *o = rows; o->id; o++) {
        c = o->also && o->also == c ? o->id : c;
    }
    return c;
}

static bool add_object(Img *im, const char *text)
{
    Error *err = NULL;

    if (!session_object_parse(im->session, text, &err)) {
        img_fail(im, err);
        return false;
    }
    return true;
}

/* What was typed: "-x" out of "-qx" too. */
static char *typed_option(char **argv)
{
    const char *word = argv[optind - 1];

    return optopt && optopt < 256 && strncmp(word, "--", 2) ? g_strdup_printf("-%c", optopt) : g_strdup(word);
}

int img_getopt(Img *im, int argc, char **argv)
{
    int c = next_option(im->verb->options, argc, argv);
    g_autofree char *typed = NULL;

    switch (c) {
    case -1:
        if (im->image_opts && im->has_format) {
            img_error(im, "--image-opts and --format are mutually exclusive");
            return -2;
        }
        break;
    case 'h':
        img_verb_help(im, im->verb);
        exit(0);
    case ':':
        typed = typed_option(argv);
        img_try_help(im, "missing argument for option '%s'", typed);
        return -2;
    case '?':
        typed = typed_option(argv);
        img_try_help(im, "unrecognized option '%s'", typed);
        return -2;
    case 'f':
        im->has_format = true;
        break;
    case 'p':
        im->progress = true;
        break;
    case 'q':
        im->quiet = true;
        break;
    case 'U':
        im->force_share = true;
        break;
    case OPT_IMAGE_OPTS:
        im->image_opts = true;
        break;
    case OPT_OBJECT:
        return add_object(im, optarg) ? c : -2;
    }
    return c;
}

/* ---- help ---- */

/* "-f FMT", "--shrink": the short form where there is one. */
static char *short_form(const ImgOpt *o)
{
    g_autofree char *left = is_letter(o) ? g_strdup_printf("-%c", o->id) : g_strdup_printf("--%s", o->name);

    return o->arg ? g_strdup_printf("%s %s", left, o->arg) : g_steal_pointer(&left);
}

char *img_opt_forms(const ImgOpt *o)
{
    GString *s = g_string_new(NULL);

    if (is_letter(o)) {
        g_string_append_printf(s, "-%c", o->id);
    }
    if (o->also) {
        g_string_append_printf(s, ", -%c", o->also);
    }
    if (o->name) {
        g_string_append_printf(s, "%s--%s", s->len ? ", " : "", o->name);
    }
    if (o->arg) {
        g_string_append_printf(s, " %s", o->arg);
    }
    return g_string_free(s, false);
}

char *img_verb_usage(const ImgVerb *v)
{
    GString *s = g_string_new(v->name);

    for (const ImgOpt *o = v->options; o->id; o++) {
        g_autofree char *form = short_form(o);

        if (!o->hidden && o->id != 'h') {
            g_string_append_printf(s, o->must ? " %s" : " [%s]", form);
        }
    }
    g_string_append_printf(s, " %s", v->operands);
    return g_string_free(s, false);
}

/* Words up to column 78, the later lines indented; brackets are kept together. */
static void print_wrapped(const char *text, unsigned indent)
{
    unsigned column = indent, depth = 0;
    const char *p = text;

    printf("%*s", indent, "");
    while (*p) {
        const char *end = p;

        for (depth = 0; *end && (*end != ' ' || depth); end++) {
            depth += (*end == '[') - (*end == ']');
        }
        if (column > indent && column + 1 + (end - p) > 78) {
            printf("\n%*s", indent + 4, "");
            column = indent + 4;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)(end - p), p);
        column += end - p;
        p = *end ? end + 1 : end;
    }
    putchar('\n');
}

void img_verb_help(Img *im, const ImgVerb *v)
{
    g_autofree char *usage = img_verb_usage(v), *line = g_strdup_printf("%s %s", im->name, usage);

    printf("Usage:\n");
    print_wrapped(line, 2);
    printf("\n%c%s.\n%s\n\nOptions:\n", g_ascii_toupper(v->brief[0]), v->brief + 1, v->about);
    for (const ImgOpt *o = v->options; o->id; o++) {
        g_autofree char *forms = img_opt_forms(o);

        if (!o->hidden) {
            printf("  %s\n      %s\n", forms, o->help);
        }
    }
    printf("\nExample:\n  %s %s\n", im->name, v->example);
}
