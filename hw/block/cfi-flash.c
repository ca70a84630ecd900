/* SPDX-License-Identifier: MIT */
/*
 * CFI parallel NOR flash with the Intel command set: two 16-bit chips side by
 * side on a 32-bit bus, as boards for firmware have them.
 *
 * JEDEC JESD68 (common flash interface); Intel application note 646 and the
 * 28F640J3 data sheet for the command set.  Both chips get the same command at
 * the same time, so there is one command state; a program operation can only
 * clear bits, an erase sets a sector to ones.
 */
#include "hw/block/cfi-flash.h"

#include <string.h>

#include "hw/core/machine.h"
#include "util/log.h"

enum {
    CMD_READ_ARRAY = 0xff, CMD_READ_ID = 0x90, CMD_QUERY = 0x98, CMD_READ_STATUS = 0x70, CMD_CLEAR_STATUS = 0x50,
    CMD_PROGRAM = 0x40, CMD_PROGRAM_ALT = 0x10, CMD_BUFFER = 0xe8, CMD_ERASE = 0x20, CMD_LOCK = 0x60, CMD_CONFIRM = 0xd0,
    CMD_LOCK_SET = 0x01, CMD_LOCK_DOWN = 0x2f,
};
enum { STATUS_READY = 0x80, STATUS_ERASE_ERROR = 0x20, STATUS_PROGRAM_ERROR = 0x10, STATUS_PROTECTED = 0x02 };
/* What a read shows, and what the next write means. */
enum { SHOW_ARRAY, SHOW_STATUS, SHOW_ID, SHOW_QUERY };
enum { EXPECT_COMMAND, EXPECT_PROGRAM, EXPECT_COUNT, EXPECT_BUFFER, EXPECT_BUFFER_CONFIRM, EXPECT_ERASE_CONFIRM, EXPECT_LOCK };
enum { QUERY_LEN = 0x40, BUFFER_BYTES = 4096 };     /* 2^0xb bytes a chip, two chips */

typedef struct CfiFlash {
    Device dev;
    char *name;
    uint64_t size, sector;
    uint32_t ids[2];
    RamBlock *ram;
    MemRegion region;
    const CfiFlashStore *store;
    void *store_opaque;
    bool readonly;
    /* state */
    uint32_t show, expect;
    uint8_t status;
    uint32_t buf_words, buf_left;
    uint64_t buf_at;
    uint8_t buf[BUFFER_BYTES];
} CfiFlash;

static CfiFlash *cfi(Device *dev)
{
    return (CfiFlash *)dev;
}

static void show(CfiFlash *s, uint32_t what)
{
    s->show = what;
    mem_region_set_romd(&s->region, what == SHOW_ARRAY);
}

/* JESD68 tables 1 to 4: one byte of the query structure of one chip. */
static uint8_t query_byte(const CfiFlash *s, unsigned i)
{
    static const uint8_t head[] = {             /* from 0x10 */
        'Q', 'R', 'Y', 0x01, 0x00, 0x31, 0x00, 0, 0, 0, 0,
        0x45, 0x55, 0, 0, 0x07, 0x07, 0x0a, 0, 0x04, 0x04, 0x04, 0,
    };
    uint64_t blocks = s->size / s->sector - 1, bytes = s->sector / 2;

    if (i >= 0x10 && i - 0x10 < sizeof(head)) {
        return head[i - 0x10];
    }
    switch (i) {
    case 0x27: return __builtin_ctzll(s->size / 2);
    case 0x28: return 2;                        /* x16 */
    case 0x2a: return 0x0b;                     /* write buffer: 2048 bytes a chip */
    case 0x2c: return 1;                        /* one erase region */
    case 0x2d: return blocks & 0xff;
    case 0x2e: return blocks >> 8;
    case 0x2f: return bytes >> 8 & 0xff;
    case 0x30: return bytes >> 16;
    case 0x31: return 'P';
    case 0x32: return 'R';
    case 0x33: return 'I';
    case 0x34: return '1';
    case 0x35: return '0';
    case 0x3f: return 1;                        /* number of protection fields */
    default: return 0;
    }
}

static uint32_t both(uint32_t chip)
{
    return chip | chip << 16;
}

static MemResult flash_read(void *opaque, uint64_t off, unsigned size, uint64_t *val, MemAttrs attrs)
{
    CfiFlash *s = opaque;
    uint32_t word = 0;

    switch (s->show) {
    case SHOW_ARRAY:
        *val = 0;
        memcpy(val, ram_block_host(s->ram, off), size);
        return MEM_OK;
    case SHOW_STATUS:
        word = both(s->status);
        break;
    case SHOW_ID:
        switch (off / 4 & 0xff) {
        case 0: word = both(s->ids[0]); break;
        case 1: word = both(s->ids[1]); break;
        default: break;                         /* 2: block lock state, never locked */
        }
        break;
    default:
        word = off / 4 < QUERY_LEN ? both(query_byte(s, off / 4)) : 0;
        break;
    }
    *val = word >> (off & 3) * 8;
    if (size < 4) {
        *val &= (1u << size * 8) - 1;
    } else if (size == 8) {
        *val |= (uint64_t)word << 32;
    }
    return MEM_OK;
}

static void store(CfiFlash *s, uint64_t off, uint64_t len)
{
    mem_written(s->dev.machine->mem, s->ram->ram_addr + off, len);
    if (s->store) {
        s->store->write(s->store_opaque, off, ram_block_host(s->ram, off), len);
    }
}

static void program(CfiFlash *s, uint64_t off, const uint8_t *data, uint64_t len)
{
    uint8_t *p = ram_block_host(s->ram, off);

    if (s->readonly) {
        s->status |= STATUS_PROGRAM_ERROR | STATUS_PROTECTED;
        return;
    }
    for (uint64_t i = 0; i < len; i++) {
        p[i] &= data[i];
    }
    store(s, off, len);
}

static void erase(CfiFlash *s, uint64_t off)
{
    off -= off % s->sector;
    if (s->readonly) {
        s->status |= STATUS_ERASE_ERROR | STATUS_PROTECTED;
        return;
    }
    memset(ram_block_host(s->ram, off), 0xff, s->sector);
    store(s, off, s->sector);
}

static void command(CfiFlash *s, uint64_t off, uint8_t cmd)
{
    switch (cmd) {
    case CMD_READ_ARRAY: case 0:
        show(s, SHOW_ARRAY);
        break;
    case CMD_READ_ID:
        show(s, SHOW_ID);
        break;
    case CMD_QUERY:
        show(s, SHOW_QUERY);
        break;
    case CMD_READ_STATUS:
        show(s, SHOW_STATUS);
        break;
    case CMD_CLEAR_STATUS:
        s->status = STATUS_READY;
        show(s, SHOW_ARRAY);
        break;
    case CMD_PROGRAM: case CMD_PROGRAM_ALT:
        s->expect = EXPECT_PROGRAM;
        show(s, SHOW_STATUS);
        break;
    case CMD_BUFFER:
        s->expect = EXPECT_COUNT;
        show(s, SHOW_STATUS);
        break;
    case CMD_ERASE:
        s->expect = EXPECT_ERASE_CONFIRM;
        show(s, SHOW_STATUS);
        break;
    case CMD_LOCK:
        s->expect = EXPECT_LOCK;
        show(s, SHOW_STATUS);
        break;
    default:
        log_guest("flash '%s': command 0x%02x at 0x%" PRIx64, s->name, cmd, off);
        show(s, SHOW_ARRAY);
        break;
    }
}

static void buffer_word(CfiFlash *s, uint64_t off, unsigned size, uint64_t val)
{
    if (s->buf_left == s->buf_words) {
        s->buf_at = off - off % BUFFER_BYTES;
        memset(s->buf, 0xff, sizeof(s->buf));
    }
    if (off < s->buf_at || off + size > s->buf_at + BUFFER_BYTES) {
        s->status |= STATUS_PROGRAM_ERROR;      /* left the buffer's page */
    } else {
        memcpy(s->buf + (off - s->buf_at), &val, size);
    }
    if (!--s->buf_left) {
        s->expect = EXPECT_BUFFER_CONFIRM;
    }
}

static MemResult flash_write(void *opaque, uint64_t off, unsigned size, uint64_t val, MemAttrs attrs)
{
    CfiFlash *s = opaque;
    uint8_t cmd = val;
    uint32_t was = s->expect;

    if (was == EXPECT_BUFFER) {
        buffer_word(s, off, size, val);
        return MEM_OK;
    }
    s->expect = EXPECT_COMMAND;
    switch (was) {
    case EXPECT_PROGRAM:
        program(s, off, (const uint8_t *)&val, size);
        break;
    case EXPECT_COUNT:                          /* words of both chips, less one */
        s->buf_words = s->buf_left = (val & 0xffff) + 1;
        if (s->buf_words > BUFFER_BYTES / 2) {
            s->status |= STATUS_PROGRAM_ERROR;
        } else {
            s->expect = EXPECT_BUFFER;
        }
        break;
    case EXPECT_BUFFER_CONFIRM:
        if (cmd == CMD_CONFIRM && !(s->status & STATUS_PROGRAM_ERROR)) {
            program(s, s->buf_at, s->buf, MIN(BUFFER_BYTES, s->size - s->buf_at));
        } else {
            s->status |= STATUS_PROGRAM_ERROR;
        }
        break;
    case EXPECT_ERASE_CONFIRM:
        if (cmd == CMD_CONFIRM) {
            erase(s, off);
        } else {
            s->status |= STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR;     /* a broken sequence sets both */
        }
        break;
    case EXPECT_LOCK:                           /* accepted: sectors of this chip have no lock bits of effect */
        if (cmd != CMD_CONFIRM && cmd != CMD_LOCK_SET && cmd != CMD_LOCK_DOWN) {
            log_guest("flash '%s': lock command 0x%02x", s->name, cmd);
        }
        break;
    default:
        command(s, off, cmd);
        break;
    }
    return MEM_OK;
}

static const MemOps flash_ops = { .read = flash_read, .write = flash_write, .min = 1, .max = 4 };

/* ---- life ---- */

bool cfi_flash_load(Device *dev, const void *data, uint64_t len, Error **errp)
{
    CfiFlash *s = cfi(dev);

    if (len > s->size) {
        return error_set(errp, "the contents have %" PRIu64 " bytes, flash '%s' has %" PRIu64, len, s->name, s->size);
    }
    memcpy(ram_block_host(s->ram, 0), data, len);
    mem_written(dev->machine->mem, s->ram->ram_addr, len);
    return true;
}

void cfi_flash_set_store(Device *dev, const CfiFlashStore *st, void *opaque, bool readonly)
{
    cfi(dev)->store = st;
    cfi(dev)->store_opaque = opaque;
    cfi(dev)->readonly = readonly;
}

MemRegion *cfi_flash_region(Device *dev)
{
    return &cfi(dev)->region;
}

static bool flash_realize(Device *dev, Error **errp)
{
    CfiFlash *s = cfi(dev);
    RamSpec spec = { .id = s->name, .size = s->size };

    if (!s->name || !s->size || !s->sector || s->size % s->sector || (s->size & (s->size - 1)) || (s->sector & (s->sector - 1)) ||
        s->sector < 1024) {
        return error_set(errp, "flash needs a name, a size and a sector size that are powers of two");
    }
    s->ram = ram_block_new(dev->machine->mem, &spec, errp);
    if (!s->ram) {
        return error_prepend(errp, "flash '%s': ", s->name);
    }
    mem_region_init_romd(&s->region, dev->machine->mem, s->name, s->ram, &flash_ops, s, dev->mutex);
    return true;
}

static void flash_pre_save(Device *dev)
{
    CfiFlash *s = cfi(dev);

    if (s->store && s->store->settle) {
        device_unlock(dev);
        s->store->settle(s->store_opaque);
        device_lock(dev);
    }
}

static void flash_unrealize(Device *dev)
{
    CfiFlash *s = cfi(dev);

    if (s->region.parent) {
        mem_region_del(&s->region);
        mem_synchronize();
    }
    if (s->store && s->store->release) {
        s->store->release(s->store_opaque);
        s->store = NULL;
    }
    ram_block_free(s->ram);
    s->ram = NULL;
}

static void flash_reset_enter(Device *dev)
{
    CfiFlash *s = cfi(dev);

    s->status = STATUS_READY;
    show(s, SHOW_ARRAY);
}

static bool flash_post_load(Device *dev, Error **errp)
{
    CfiFlash *s = cfi(dev);

    if (s->buf_at >= s->size || s->buf_at % BUFFER_BYTES ||
        (s->expect == EXPECT_BUFFER && (!s->buf_left || s->buf_left > s->buf_words))) {
        return error_set(errp, "flash '%s': the state of its write buffer makes no sense", s->name);
    }
    show(s, s->show);
    return true;
}

static const Prop flash_props[] = {
    PROP_STR("name", CfiFlash, name, NULL, .help = "of its memory"),
    PROP_SIZE("size", CfiFlash, size, 0, .help = "bytes, both chips"),
    PROP_SIZE("sector", CfiFlash, sector, 256 << 10, .help = "bytes an erase sets, both chips"),
    PROP_U32("id0", CfiFlash, ids[0], 0x89, .help = "manufacturer"),
    PROP_U32("id1", CfiFlash, ids[1], 0x18, .help = "device"),
    {}
};

static const StateField flash_state[] = {
    STATE_ENUM(CfiFlash, show, SHOW_QUERY), STATE_ENUM(CfiFlash, expect, EXPECT_LOCK), STATE_U8(CfiFlash, status, .def = STATUS_READY),
    STATE_U32(CfiFlash, buf_words, .max = BUFFER_BYTES / 2), STATE_U32(CfiFlash, buf_left, .max = BUFFER_BYTES / 2),
    STATE_U64(CfiFlash, buf_at, .max = 1ull << 40), STATE_BUF(CfiFlash, buf), {}
};

static const DeviceType cfi_flash_type = {
    .name = "cfi.pflash01", .desc = "CFI parallel flash, Intel command set", .category = "Storage", .size = sizeof(CfiFlash),
    .props = flash_props, .state = flash_state, .post_load = flash_post_load,
    .realize = flash_realize, .unrealize = flash_unrealize, .pre_save = flash_pre_save, .reset_enter = flash_reset_enter,
};
DEVICE_TYPE(cfi_flash_type);
