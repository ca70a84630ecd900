/* SPDX-License-Identifier: MIT */
/* The manual page of the image tool, out of the tables of verbs and of formats. */
#include "block/img/img.h"

#include "block/img/img-priv.h"
#include "util/roff.h"

static const char *const intro[] = {
    ".SH DESCRIPTION",
    "rhea-img makes disk images, tells what is in them, copies them from one format to another and mends them.",
    "Each line names a verb, its options, and the image. rhea-img VERB --help, or rhea-img help VERB, tells of one verb.",
    "Called as qemu-img it prints that program's name and version, so that scripts written for it work.",
    ".PP",
    "The format of an image is found from its first bytes unless -f names it. An image of raw sectors has nothing there to be known by, so say -f raw for it:",
    "otherwise a guest could write the first bytes of another format into it, and that would be believed the next time.",
    ".PP",
    "Do not change an image that a running machine uses: the program refuses where the other one holds its locks. Reading is possible with -U, and the answer may be out of date.",
    ".SH FIRST STEPS",
    "A disk of 20 GiB that takes room only as it is filled, and what it is:",
    ".PP", ".RS", ".nf", "rhea-img create -f qcow2 disk.qcow2 20G", "rhea-img info disk.qcow2", ".fi", ".RE", ".PP",
    "An overlay: the disk stays as it is, what changes goes into the new file. Both are needed from then on; commit brings the changes back:",
    ".PP", ".RS", ".nf", "rhea-img create -f qcow2 -b disk.qcow2 -F qcow2 try.qcow2", "rhea-img info --backing-chain try.qcow2", "rhea-img commit try.qcow2", ".fi", ".RE", ".PP",
    "Another program's image into qcow2, compressed, with progress shown; then the proof that both read the same:",
    ".PP", ".RS", ".nf", "rhea-img convert -p -c -O qcow2 disk.vmdk disk.qcow2", "rhea-img compare disk.vmdk disk.qcow2", ".fi", ".RE", ".PP",
    "More room, and a state to come back to (the machine is off):",
    ".PP", ".RS", ".nf", "rhea-img resize disk.qcow2 +10G", "rhea-img snapshot -c before-upgrade disk.qcow2", "rhea-img snapshot -l disk.qcow2", "rhea-img snapshot -a before-upgrade disk.qcow2", ".fi", ".RE", ".PP",
    "An encrypted disk; the password is in a file:",
    ".PP", ".RS", ".nf", "rhea-img create --object secret,id=s,file=password.txt -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s safe.qcow2 20G",
    "rhea-img convert --object secret,id=s,file=password.txt --image-opts -O raw driver=qcow2,file.filename=safe.qcow2,encrypt.key-secret=s plain.raw", ".fi", ".RE",
    NULL
};

static const char *const names[] = {
    ".SH NAMES OF IMAGES",
    "A name is a path, or begins with a protocol: nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH, http://..., https://..., ftp://..., ssh://USER@HOST/PATH, fat:DIR for a folder as a disk.",
    "A path with a colon in its first part is written file:PATH or ./PATH. json:{...} and --image-opts give the options of a node one by one:",
    "driver (the format), file.filename (its file), backing, and those of the format and of the protocol.",
    ".SH SIZES",
    "A size is in bytes, or has a suffix: k, M, G, T, P, E (powers of 1024). Fractions are fine: 1.5G.",
    NULL
};

static const char *const last[] = {
    ".SH EXIT STATUS",
    "0 if all went well, 1 if not. check: 2 for corruption, 3 for leaked clusters, 63 for a format without checks. compare: 1 for images that differ, 2 or more for trouble.",
    ".SH SEE ALSO",
    "rhea(1), rhea-nbd(1), rhea-storage-daemon(1)",
    NULL
};

static void put_verb(GString *out, const ImgVerb *v)
{
    g_autofree char *usage = img_verb_usage(v);

    g_string_append_printf(out, ".SS %s\n", v->name);
    roff_put(out, v->brief);
    g_string_append(out, "\n.PP\n.B rhea\\-img ");
    roff_put(out, usage);
    g_string_append(out, "\n.PP\n");
    roff_put(out, v->about);
    g_string_append_c(out, '\n');
    for (const ImgOpt *o = v->options; o->id; o++) {
        g_autofree char *forms = img_opt_forms(o);

        if (!o->hidden) {
            roff_item(out, forms, o->help);
        }
    }
    g_string_append(out, ".PP\nExample:\n.PP\n.RS\n.nf\nrhea\\-img ");
    roff_put(out, v->example);
    g_string_append(out, "\n.fi\n.RE\n");
}

static void put_keys(GString *out, const char *what, const OptKey *keys)
{
    g_string_append_printf(out, "%s:\n", what);
    for (const OptKey *k = keys; k && k->name; k++) {
        if (!k->absent) {
            g_string_append(out, ".TP\n.B ");
            roff_put(out, k->name);
            g_string_append_printf(out, "=<%s>\n", options_type_text(k));
            roff_put(out, k->help);
            if (k->def) {
                g_string_append(out, " (default: ");
                roff_put(out, k->def);
                g_string_append_c(out, ')');
            }
            g_string_append_c(out, '\n');
        }
    }
    g_string_append(out, ".PP\n");
}

static void put_formats(GString *out)
{
    g_autofree const BlkDriver **list = blk_drivers();

    g_string_append(out, ".SH FORMATS\nOptions are given as \\-o KEY=VALUE,KEY=VALUE; a comma in a value is written twice.\n");
    put_keys(out, "Of the file under an image of any format", blk_host_file_keys);
    for (unsigned i = 0; list[i]; i++) {
        const BlkDriver *d = list[i];

        if (!(d->kind & BLK_DRV_FORMAT)) {
            continue;
        }
        g_string_append_printf(out, ".SS %s\n", d->name);
        roff_put(out, d->help);
        g_string_append(out, d->create_options ? ".\n.PP\n" : ".\nRead only: such images are not made here.\n");
        if (d->create_options) {
            put_keys(out, "Options of create and convert, beside those of the file", d->create_options);
        }
        if (d->image && d->image->amend_options) {
            put_keys(out, "Options of amend", d->image->amend_options);
        }
    }
}

char *img_manual(void)
{
    GString *out = g_string_new(".TH RHEA-IMG 1\n.SH NAME\nrhea\\-img \\- create, look at, convert and mend disk images\n.SH SYNOPSIS\n.B rhea\\-img\n.I VERB\n[options] ...\n");

    roff_lines(out, intro);
    g_string_append(out, ".SH VERBS\n");
    for (const ImgVerb *v = img_verbs; v->name; v++) {
        put_verb(out, v);
    }
    roff_lines(out, names);
    put_formats(out);
    roff_lines(out, last);
    return g_string_free(out, false);
}
