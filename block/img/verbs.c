/* SPDX-License-Identifier: MIT */
/*
 * The verbs and their options: what is parsed, what --help says, what the
 * manual page says.  Names and letters are those that people and scripts
 * know; where spellings changed over the years, the old ones are in the row.
 */
#include "block/img/img-priv.h"

#define HELP { "help", 'h', NULL, "print this text and exit" }
#define OBJECT { "object", OPT_OBJECT, "TYPE,id=ID,...", "make an object first: a secret with a password, TLS credentials", .many = true }
#define QUIET { "quiet", 'q', NULL, "print errors only" }
#define PROGRESS { "progress", 'p', NULL, "show how far the work is" }
#define SHARE { "force-share", 'U', NULL, "open the image even if another program is writing to it" }
#define FORMAT { "format", 'f', "FMT", "format of the image (default: look at its first bytes)" }
#define IMAGE_OPTS { "image-opts", OPT_IMAGE_OPTS, NULL, "the image's name is a list of node options, KEY=VALUE,..." }
#define CACHE { "cache", 't', "CACHE", "cache mode: none, writeback (default), writethrough, directsync, unsafe" }
#define READ_CACHE { "cache", 'T', "CACHE", "cache mode: none, writeback (default), writethrough, directsync, unsafe" }
#define OUTPUT { "output", OPT_OUTPUT, "human|json", "form of the answer (default: human)" }
#define BACKING_FORMAT { "backing-format", 'F', "FMT", "format of the backing file", .also = 'B' }
#define RATE { "rate-limit", 'r', "RATE", "write at most so many bytes in a second" }

static const ImgOpt amend_options[] = {
    HELP, { "options", 'o', "OPTIONS", "what to change, KEY=VALUE,...; -f FMT -o help lists the keys", .must = true, .many = true },
    FORMAT, IMAGE_OPTS, CACHE, { "force", OPT_FORCE, NULL, "allow what can lock everybody out: to erase the last key" }, PROGRESS, QUIET, OBJECT, {}
};
static const ImgOpt bench_options[] = {
    HELP, FORMAT, IMAGE_OPTS, CACHE,
    { "count", 'c', "COUNT", "number of requests (default: 75000)" }, { "depth", 'd', "DEPTH", "requests under way at a time (default: 64)" },
    { "offset", 'o', "OFFSET", "where the first request goes" }, { "buffer-size", 's', "SIZE", "bytes of each request (default: 4k)" },
    { "step-size", 'S', "SIZE", "from one request to the next (default: the size of a request)" },
    { "write", 'w', NULL, "write instead of reading: this destroys what is in the image" }, { "pattern", OPT_PATTERN, "BYTE", "what is written (default: 0)" },
    { "flush-interval", OPT_FLUSH_INTERVAL, "COUNT", "flush after so many requests" }, { "no-drain", OPT_NO_DRAIN, NULL, "let requests go on while a flush is under way" },
    { "aio", 'i', "AIO", "how the host's file is accessed: threads, native, io_uring" }, { "native", 'n', NULL, "short for -i native" }, SHARE, QUIET, OBJECT, {}
};
static const ImgOpt bitmap_options[] = {
    HELP, FORMAT, IMAGE_OPTS,
    { "add", OPT_ADD, NULL, "make BITMAP, and record in it what is written from now on" },
    { "granularity", 'g', "SIZE", "bytes that one bit of the bitmap being added stands for (default: the image's clusters)" },
    { "remove", OPT_REMOVE, NULL, "remove BITMAP" }, { "remove-all", OPT_REMOVE_ALL, NULL, "remove every bitmap of the image" },
    { "clear", OPT_CLEAR, NULL, "clear all bits of BITMAP" }, { "enable", OPT_ENABLE, NULL, "record in BITMAP what is written" }, { "disable", OPT_DISABLE, NULL, "do not" },
    { "merge", OPT_MERGE, "SOURCE", "add the bits of the bitmap SOURCE to BITMAP", .many = true },
    { "source-file", 'b', "FILE", "where SOURCE is (default: the same image)" }, { "source-format", 'F', "FMT", "format of that file" }, OBJECT, {}
};
static const ImgOpt check_options[] = {
    HELP, FORMAT, IMAGE_OPTS, READ_CACHE,
    { "repair", 'r', "leaks|all", "give back clusters that nothing refers to (leaks), or mend all that can be mended" }, SHARE, OUTPUT, QUIET, OBJECT, {}
};
static const ImgOpt commit_options[] = {
    HELP, FORMAT, IMAGE_OPTS, CACHE, { "base", 'b', "BASE", "image of the chain that takes the data (default: the next one); implies -d" },
    { "drop", 'd', NULL, "leave the image as it is: it is not needed any more" }, RATE, PROGRESS, QUIET, OBJECT, {}
};
static const ImgOpt compare_options[] = {
    HELP, { "a-format", 'f', "FMT", "format of the first image (default: look at its first bytes)" }, { "b-format", 'F', "FMT", "format of the second" }, IMAGE_OPTS,
    { "strict", 's', NULL, "sizes, and what is allocated, must be the same too" }, READ_CACHE, SHARE, PROGRESS, QUIET, OBJECT, {}
};
static const ImgOpt convert_options[] = {
    HELP, { "source-format", 'f', "FMT", "format of the sources (default: look at their first bytes)" }, IMAGE_OPTS,
    { "source-cache", 'T', "CACHE", "cache mode of the sources (default: writeback)" },
    { "snapshot", 'l', "SNAPSHOT", "copy an internal snapshot: its name or number, or snapshot.id=ID or snapshot.name=NAME" },
    { "bitmaps", OPT_BITMAPS, NULL, "copy the persistent bitmaps too" }, { "skip-broken-bitmaps", OPT_SKIP_BROKEN, NULL, "leave out the ones that were not closed properly" },
    { "salvage", OPT_SALVAGE, NULL, "what can not be read becomes zeroes" },
    { "target-format", 'O', "FMT", "format of the target (default: raw)" }, { "target-image-opts", OPT_TARGET_IMAGE_OPTS, NULL, "the target's name is a list of node options; needs -n" },
    { "target-format-options", 'o', "OPTIONS", "of the new image, KEY=VALUE,...; -O FMT -o help lists the keys", .many = true },
    { "target-cache", 't', "CACHE", "cache mode of the target (default: unsafe)" },
    { "backing", 'b', "FILE", "the target holds only what differs from this image", .also = 'B' }, { "backing-format", 'F', "FMT", "format of that image" },
    { "sparse-size", 'S', "SIZE", "so many zeroes in a row become a hole (default: 4k); 0: none does" },
    { "no-create", 'n', NULL, "the target is there: write into it" }, { "target-is-zero", OPT_TARGET_IS_ZERO, NULL, "the target reads as zeroes: zeroes need not be written" },
    { "compress", 'c', NULL, "compress the data (qcow, qcow2, vmdk streamOptimized)" }, SHARE, RATE,
    { "parallel", 'm', "COUNT", "copy so many pieces at a time (default: 8)" }, { "oob-writes", 'W', NULL, "write pieces in any order: faster" },
    { "copy-range-offloading", 'C', NULL, "let the host copy where it can" }, PROGRESS, QUIET, OBJECT,
    { NULL, '6', NULL, "of old guides: -o compat6=on", .hidden = true }, { NULL, 'e', NULL, "of old guides: encrypt", .hidden = true },
    { NULL, 's', "SNAPSHOT", "of old guides: -l", .hidden = true }, {}
};
static const ImgOpt create_options[] = {
    HELP, { "format", 'f', "FMT", "format of the new image (default: raw)" }, { "options", 'o', "OPTIONS", "KEY=VALUE,...; -f FMT -o help lists the keys", .many = true },
    { "backing", 'b', "FILE", "the image holds only what differs from this one; SIZE may be left out then" }, BACKING_FORMAT,
    { "backing-unsafe", 'u', NULL, "do not look at the backing file: it may not be there yet" }, QUIET, OBJECT,
    { NULL, '6', NULL, "of old guides: -o compat6=on", .hidden = true }, { NULL, 'e', NULL, "of old guides: encrypt", .hidden = true }, {}
};
static const ImgOpt dd_options[] = {
    HELP, FORMAT, IMAGE_OPTS, { "output-format", 'O', "FMT", "format of the output (default: raw)" }, SHARE, OBJECT, {}
};
static const ImgOpt info_options[] = {
    HELP, FORMAT, IMAGE_OPTS, { "backing-chain", OPT_BACKING_CHAIN, NULL, "tell of all images below too" }, CACHE, SHARE,
    { "limits", OPT_LIMITS, NULL, "tell of alignments of requests too" }, OUTPUT, OBJECT, {}
};
static const ImgOpt map_options[] = {
    HELP, FORMAT, IMAGE_OPTS, { "start-offset", 's', "OFFSET", "begin there" }, { "max-length", 'l', "LENGTH", "tell of at most so many bytes" }, OUTPUT, SHARE, OBJECT, {}
};
static const ImgOpt measure_options[] = {
    HELP, FORMAT, IMAGE_OPTS, { "snapshot", 'l', "SNAPSHOT", "measure for an internal snapshot" }, { "target-format", 'O', "FMT", "format to be written (default: raw)" },
    { NULL, 'o', "OPTIONS", "of the image to be written, KEY=VALUE,...", .many = true }, { "size", 's', "SIZE", "measure for an empty image of this size" }, OUTPUT, SHARE, OBJECT, {}
};
static const ImgOpt rebase_options[] = {
    HELP, FORMAT, IMAGE_OPTS, CACHE, { "backing", 'b', "FILE", "the new backing file; \"\": none" }, BACKING_FORMAT,
    { "backing-cache", 'T', "CACHE", "cache mode of the backing files (default: writeback)" },
    { "backing-unsafe", 'u', NULL, "write the new name only: the content must be the same already" }, { "compress", 'c', NULL, "compress what is copied" }, SHARE, PROGRESS, QUIET, OBJECT, {}
};
static const ImgOpt resize_options[] = {
    HELP, FORMAT, IMAGE_OPTS, { "preallocation", OPT_PREALLOCATION, "MODE", "of the new part: off (default), metadata, falloc, full" },
    { "shrink", OPT_SHRINK, NULL, "allow a smaller size: what is behind it is lost" }, QUIET, OBJECT, {}
};
static const ImgOpt snapshot_options[] = {
    HELP, FORMAT, IMAGE_OPTS, { "list", 'l', NULL, "list them (default)" }, { "create", 'c', "NAME", "make one" }, { "apply", 'a', "NAME", "go back to one" }, { "delete", 'd', "NAME", "delete one" },
    SHARE, QUIET, OBJECT, {}
};

const ImgVerb img_verbs[] = {
    { "amend", "FILE", img_amend, amend_options, "change options of an image",
      "Changes what create set: the version of the format, the width of its counts, its name of a backing file, its passwords.", "amend -o compat=1.1,lazy_refcounts=on disk.qcow2" },
    { "bench", "FILE", img_bench, bench_options, "measure how fast an image is", "Sends requests of one size and tells how long they took.", "bench -c 100000 -d 32 -t none disk.qcow2" },
    { "bitmap", "FILE [BITMAP]", img_bitmap, bitmap_options, "change the persistent bitmaps of an image",
      "A bitmap records which parts of a qcow2 image were written, for incremental backups. Actions are done in the order given.", "bitmap --add -g 64k disk.qcow2 since-monday" },
    { "check", "FILE", img_check, check_options, "look for errors in an image",
      "The exit status is 0 for a clean image, 1 when the check could not be done, 2 for corruption, 3 for leaked clusters only, 63 for a format without checks.", "check -r leaks disk.qcow2" },
    { "commit", "FILE", img_commit, commit_options, "write an overlay's data into its backing file",
      "The overlay is empty afterwards, or left as it is with -d.", "commit overlay.qcow2" },
    { "compare", "FILE1 FILE2", img_compare, compare_options, "compare what two images read as",
      "The exit status is 0 for equal, 1 for different, more for trouble. A longer image is equal if its rest reads as zeroes.", "compare -f raw -F qcow2 disk.raw disk.qcow2" },
    { "convert", "SOURCE... TARGET", img_convert, convert_options, "copy an image, into another format if need be",
      "Several sources are put one behind the other. Zeroes take no room in the target.", "convert -p -f raw -O qcow2 disk.raw disk.qcow2" },
    { "create", "FILE [SIZE]", img_create, create_options, "make an image",
      "SIZE may have a suffix k, M, G, T, P or E (powers of 1024). With -b and without -F the name of the format has to be found out first: the message says it.", "create -f qcow2 disk.qcow2 20G" },
    { "dd", "[bs=SIZE] [count=BLOCKS] [skip=BLOCKS] if=INPUT of=OUTPUT", img_dd, dd_options, "copy part of an image",
      "bs is 512 unless said otherwise; count and skip count blocks of the input.", "dd bs=1M count=1 if=disk.qcow2 of=first-megabyte" },
    { "info", "FILE", img_info, info_options, "tell what an image is", "JSON has the same facts under names that stay.", "info --backing-chain --output=json overlay.qcow2" },
    { "map", "FILE", img_map, map_options, "tell where the data of an image lies",
      "The text lists data only, with its place in the host's file; JSON lists everything.", "map --output=json disk.qcow2" },
    { "measure", "[FILE]", img_measure, measure_options, "tell how large a file an image would need", "Either for an empty image (--size), or for the data of FILE.",
      "measure -O qcow2 disk.raw" },
    { "rebase", "FILE", img_rebase, rebase_options, "give an overlay another backing file",
      "What differs between the old and the new backing file is copied into the overlay first, unless -u says that nothing does.", "rebase -b new-base.qcow2 -F qcow2 overlay.qcow2" },
    { "resize", "FILE [+|-]SIZE", img_resize, resize_options, "change the size of the disk in an image",
      "The file systems in it are another matter: shrink them before, grow them after.", "resize disk.qcow2 +10G" },
    { "snapshot", "FILE", img_snapshot, snapshot_options, "list, make, apply, delete internal snapshots", "They are states of the disk kept in the image itself (qcow2).",
      "snapshot -c before-upgrade disk.qcow2" },
    {}
};
