/* SPDX-License-Identifier: MIT */
/*
 * GICv3 interrupt translation service: IHI 0069, chapters 5 and 12.19.
 *
 * Tables and queue are in guest memory in the formats below (ours to choose);
 * nothing is cached, so save and restore, and a guest that looks, see all
 * there is.  A command costs a few memory reads; the loop over the queue is
 * bounded by its size.
 */
#include "hw/intc/gicv3-its.h"

#include "hw/intc/gicv3.h"
#include "util/bswap.h"
#include "util/log.h"

enum {
    CMD_MOVI = 0x01, CMD_INT = 0x03, CMD_CLEAR = 0x04, CMD_SYNC = 0x05, CMD_MAPD = 0x08, CMD_MAPC = 0x09, CMD_MAPTI = 0x0a,
    CMD_MAPI = 0x0b, CMD_INV = 0x0c, CMD_INVALL = 0x0d, CMD_MOVALL = 0x0e, CMD_DISCARD = 0x0f,
};
enum { CMD_BYTES = 32, ITE_BYTES = 12, ENTRY_BYTES = 8, ID_BITS = 16, NBASER = 8, BASER_DEVICE = 0, BASER_COLLECTION = 1, LPI_FIRST = 8192 };
#define VALID (1ull << 63)
#define INDIRECT (1ull << 62)
#define BASER_RO (7ull << 56 | 0x1full << 48)           /* type, entry size */
#define CTLR_QUIESCENT (1u << 31)
/* Physical; 12-byte table entries; 16-bit event, device and collection ids. */
#define TYPER (1ull | (ITE_BYTES - 1) << 4 | (ID_BITS - 1) << 8 | (ID_BITS - 1) << 13 | 0xfull << 32 | 1ull << 36)

typedef struct Its {
    Device dev;
    Device *gic;
    uint32_t ctlr;
    uint64_t cbaser, cwriter, creadr, baser[NBASER];
} Its;

static Its *its(Device *dev)
{
    return (Its *)dev;
}

/* ---- tables ---- */

static bool get64(Its *s, uint64_t addr, uint64_t *v)
{
    return dma_load_le(s->dev.dma_as, addr, 8, v, MEM_ATTRS_NONE) == MEM_OK;
}

static bool put64(Its *s, uint64_t addr, uint64_t v)
{
    return dma_store_le(s->dev.dma_as, addr, 8, v, MEM_ATTRS_NONE) == MEM_OK;
}

static uint64_t page_bytes(uint64_t baser)
{
    static const uint32_t bytes[] = { 4096, 16384, 65536, 65536 };

    return bytes[baser >> 8 & 3];
}

/* With 64 KiB pages address bits 51:48 are in 15:12. */
static uint64_t base_addr(uint64_t baser)
{
    if (page_bytes(baser) == 65536) {
        return (baser & 0x0000ffffffff0000ull) | (baser >> 12 & 15) << 48;
    }
    return baser & 0x0000fffffffff000ull;
}

/* Address of 8-byte entry `id` of a table; false: outside, or its second level is not there. */
static bool entry_addr(Its *s, unsigned table, uint32_t id, uint64_t *addr)
{
    uint64_t b = s->baser[table], page = page_bytes(b), room = ((b & 0xff) + 1) * page, l1;

    if (!(b & VALID) || id >= 1u << ID_BITS) {
        return false;
    }
    if (!(b & INDIRECT)) {
        *addr = base_addr(b) + (uint64_t)id * ENTRY_BYTES;
        return (uint64_t)id * ENTRY_BYTES < room;
    }
    if (id / (page / ENTRY_BYTES) * 8 >= room || !get64(s, base_addr(b) + id / (page / ENTRY_BYTES) * 8, &l1) || !(l1 & VALID)) {
        return false;
    }
    *addr = (l1 & 0x000ffffffffff000ull) + id % (page / ENTRY_BYTES) * ENTRY_BYTES;
    return true;
}

/* Device entry: VALID | address of its table | number of event bits less one in 4:0. */
static bool device_entry(Its *s, uint32_t device, uint64_t *table, unsigned *bits)
{
    uint64_t at, v;

    if (!entry_addr(s, BASER_DEVICE, device, &at) || !get64(s, at, &v) || !(v & VALID)) {
        return false;
    }
    *table = v & 0x000fffffffffff00ull;
    *bits = (v & 31) + 1;
    return true;
}

/* Event entry, 12 bytes: LPI number in 31:0 with VALID, then the collection. */
typedef struct Event { uint64_t addr; uint32_t lpi, collection; bool valid; } Event;

static bool event_entry(Its *s, uint32_t device, uint32_t event, Event *e)
{
    uint64_t table, v, c;
    unsigned bits;

    if (!device_entry(s, device, &table, &bits) || bits > ID_BITS || event >> bits) {
        return false;
    }
    e->addr = table + (uint64_t)event * ITE_BYTES;
    /* entries are 4-byte aligned: two reads keep each within a naturally aligned unit */
    uint8_t raw[ITE_BYTES];
    if (dma_read(s->dev.dma_as, e->addr, raw, sizeof(raw), MEM_ATTRS_NONE) != MEM_OK) {
        return false;
    }
    v = ldq_le_p(raw);
    c = ldl_le_p(raw + 8);
    e->valid = v >> 63;
    e->lpi = v;
    e->collection = c;
    return true;
}

static void event_store(Its *s, const Event *e)
{
    uint8_t raw[ITE_BYTES];

    stq_le_p(raw, e->valid ? VALID | e->lpi : 0);
    stl_le_p(raw + 8, e->valid ? e->collection : 0);
    dma_write(s->dev.dma_as, e->addr, raw, sizeof(raw), MEM_ATTRS_NONE);
}

/* Collection entry: VALID | processor number. */
static bool collection_cpu(Its *s, uint32_t collection, unsigned *cpu)
{
    uint64_t at, v;

    if (!entry_addr(s, BASER_COLLECTION, collection, &at) || !get64(s, at, &v) || !(v & VALID)) {
        return false;
    }
    *cpu = v & 0xffff;
    return *cpu < gicv3_ncpu(s->gic);
}

/* ---- commands ---- */

static void map_device(Its *s, const uint64_t *c)
{
    uint64_t at;

    if ((c[1] & 31) >= ID_BITS || !entry_addr(s, BASER_DEVICE, c[0] >> 32, &at)) {
        log_guest("its: MAPD of device 0x%" PRIx64 " with %" PRIu64 " event bits", c[0] >> 32, (c[1] & 31) + 1);
        return;
    }
    put64(s, at, c[2] & VALID ? VALID | (c[2] & 0x000fffffffffff00ull) | (c[1] & 31) : 0);
}

static void map_collection(Its *s, const uint64_t *c)
{
    uint64_t at;
    unsigned cpu = c[2] >> 16 & 0xffff;

    if (!entry_addr(s, BASER_COLLECTION, c[2] & 0xffff, &at) || ((c[2] & VALID) && cpu >= gicv3_ncpu(s->gic))) {
        log_guest("its: MAPC of collection %" PRIu64 " to processor %u", c[2] & 0xffff, cpu);
        return;
    }
    put64(s, at, c[2] & VALID ? VALID | cpu : 0);
}

static void map_event(Its *s, const uint64_t *c, bool same)
{
    uint32_t event = c[1], lpi = same ? event : c[1] >> 32;
    Event e;

    if (lpi < LPI_FIRST || lpi >= 1u << ID_BITS || !event_entry(s, c[0] >> 32, event, &e)) {
        log_guest("its: MAPTI of device 0x%" PRIx64 " event %u to LPI %u", c[0] >> 32, event, lpi);
        return;
    }
    e.valid = true;
    e.lpi = lpi;
    e.collection = c[2] & 0xffff;
    event_store(s, &e);
}

/* The event that a command names, mapped, with its processor. */
static bool named_event(Its *s, const uint64_t *c, Event *e, unsigned *cpu)
{
    if (!event_entry(s, c[0] >> 32, c[1], e) || !e->valid || !collection_cpu(s, e->collection, cpu)) {
        log_guest("its: command 0x%02x names device 0x%" PRIx64 " event %u, which is not mapped", (unsigned)(c[0] & 0xff), c[0] >> 32, (uint32_t)c[1]);
        return false;
    }
    return true;
}

static void move_event(Its *s, const uint64_t *c)
{
    Event e;
    unsigned from, to;

    if (named_event(s, c, &e, &from) && collection_cpu(s, c[2] & 0xffff, &to)) {
        e.collection = c[2] & 0xffff;
        event_store(s, &e);
        gicv3_lpi_move(s->gic, from, to, e.lpi);
    }
}

static void on_event(Its *s, const uint64_t *c, unsigned cmd)
{
    Event e;
    unsigned cpu;

    if (!named_event(s, c, &e, &cpu)) {
        return;
    }
    switch (cmd) {
    case CMD_INT:
        gicv3_lpi_set(s->gic, cpu, e.lpi, true);
        break;
    case CMD_INV:
        gicv3_lpi_invalidate(s->gic, cpu, e.lpi);
        break;
    default:
        gicv3_lpi_set(s->gic, cpu, e.lpi, false);
        break;
    }
    if (cmd == CMD_DISCARD) {
        e.valid = false;
        event_store(s, &e);
    }
}

static void execute(Its *s, const uint64_t *c)
{
    unsigned cmd = c[0] & 0xff, cpu;

    switch (cmd) {
    case CMD_MAPD:
        map_device(s, c);
        break;
    case CMD_MAPC:
        map_collection(s, c);
        break;
    case CMD_MAPTI: case CMD_MAPI:
        map_event(s, c, cmd == CMD_MAPI);
        break;
    case CMD_MOVI:
        move_event(s, c);
        break;
    case CMD_INT: case CMD_CLEAR: case CMD_DISCARD: case CMD_INV:
        on_event(s, c, cmd);
        break;
    case CMD_INVALL:
        if (collection_cpu(s, c[2] & 0xffff, &cpu)) {
            gicv3_lpi_invalidate(s->gic, cpu, 0);
        }
        break;
    case CMD_MOVALL:
        gicv3_lpi_move(s->gic, c[2] >> 16 & 0xffff, c[3] >> 16 & 0xffff, 0);
        break;
    case CMD_SYNC:                              /* everything is done when it is done */
        break;
    default:
        log_guest("its: there is no command 0x%02x", cmd);
        break;
    }
}

static void run_queue(Its *s)
{
    uint64_t room = ((s->cbaser & 0xff) + 1) * 4096, base = s->cbaser & 0x000ffffffffff000ull;

    if (!(s->ctlr & 1) || !(s->cbaser & VALID) || s->cwriter >= room) {
        return;
    }
    for (uint64_t n = room / CMD_BYTES; s->creadr != s->cwriter && n; n--) {
        uint64_t c[4];
        uint8_t raw[CMD_BYTES];

        if (dma_read(s->dev.dma_as, base + s->creadr, raw, sizeof(raw), MEM_ATTRS_NONE) != MEM_OK) {
            log_guest("its: the command queue is not memory at 0x%" PRIx64, base + s->creadr);
            return;
        }
        for (unsigned i = 0; i < 4; i++) {
            c[i] = ldq_le_p(raw + i * 8);
        }
        execute(s, c);
        s->creadr = (s->creadr + CMD_BYTES) % room;
    }
}

/* ---- registers ---- */

static uint64_t merge64(uint64_t old, const RegAccess *a)
{
    return (old & ~a->lanes) | (a->raw & a->lanes);
}

static uint64_t ctlr_read(Device *dev, const RegAccess *a)
{
    return its(dev)->ctlr | (its(dev)->ctlr & 1 ? 0 : CTLR_QUIESCENT);
}

static void ctlr_written(Device *dev, const RegAccess *a, uint64_t val)
{
    its(dev)->ctlr = a->raw & 1;
    run_queue(its(dev));
}

static uint64_t cbaser_read(Device *dev, const RegAccess *a)
{
    return its(dev)->cbaser;
}

static void cbaser_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Its *s = its(dev);

    if (!(s->ctlr & 1)) {
        s->cbaser = merge64(s->cbaser, a) & 0xf80ffffffffffcffull;
        s->creadr = 0;
    }
}

static uint64_t cwriter_read(Device *dev, const RegAccess *a)
{
    return its(dev)->cwriter;
}

static void cwriter_written(Device *dev, const RegAccess *a, uint64_t val)
{
    its(dev)->cwriter = merge64(its(dev)->cwriter, a) & 0xfffe0;
    run_queue(its(dev));
}

static uint64_t creadr_read(Device *dev, const RegAccess *a)
{
    return its(dev)->creadr;
}

static uint64_t baser_read(Device *dev, const RegAccess *a)
{
    return its(dev)->baser[a->index];
}

static void baser_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Its *s = its(dev);

    if (!(s->ctlr & 1) && a->index <= BASER_COLLECTION) {
        s->baser[a->index] = (s->baser[a->index] & BASER_RO) | (merge64(s->baser[a->index], a) & ~BASER_RO);
    }
}

/* A message: the event is the data, the device is who wrote. */
static void translater_written(Device *dev, const RegAccess *a, uint64_t val)
{
    Its *s = its(dev);
    Event e;
    unsigned cpu;

    if (!(s->ctlr & 1)) {
        return;
    }
    if (!event_entry(s, a->attrs.requester, a->raw, &e) || !e.valid || !collection_cpu(s, e.collection, &cpu)) {
        log_guest("its: message %u of device 0x%04x is not mapped", (uint32_t)a->raw, a->attrs.requester);
        return;
    }
    gicv3_lpi_set(s->gic, cpu, e.lpi, true);
}

static const Reg regs[] = {
    REG32V(CTLR,       0x00000, .read = ctlr_read, .written = ctlr_written),
    REG_CONST(IIDR,    0x00004, 0x43b),
    { .name = "TYPER", .offset = 0x00008, .size = 8, .virt = true, .ro = ~0ull, .reset = TYPER },
    REG64V(CBASER,     0x00080, .read = cbaser_read, .written = cbaser_written),
    REG64V(CWRITER,    0x00088, .read = cwriter_read, .written = cwriter_written),
    REG64V(CREADR,     0x00090, .ro = ~0ull, .read = creadr_read),
    REG64V(BASER,      0x00100, .count = NBASER, .read = baser_read, .written = baser_written),
    REG_CONST(PIDR4, 0x0ffd0, 0x44), REG32V(PIDR567, 0x0ffd4, .count = 3, .raz = true),
    REG_CONST(PIDR0, 0x0ffe0, 0x94), REG_CONST(PIDR1, 0x0ffe4, 0xb4), REG_CONST(PIDR2, 0x0ffe8, 0x3b), REG_CONST(PIDR3, 0x0ffec, 0x00),
    REG_CONST(CIDR0, 0x0fff0, 0x0d), REG_CONST(CIDR1, 0x0fff4, 0xf0), REG_CONST(CIDR2, 0x0fff8, 0x05), REG_CONST(CIDR3, 0x0fffc, 0xb1),
    REG32V(TRANSLATER, 0x10040, .wo = true, .written = translater_written),
    {}
};
static const RegBlock its_block = { .name = "gicv3-its", .regs = regs, .size = 0x20000, .access_max = 8, .dma_target = true };

/* ---- life ---- */

void gicv3_its_set_gic(Device *dev, Device *gic)
{
    its(dev)->gic = gic;
}

static bool realize(Device *dev, Error **errp)
{
    return its(dev)->gic || error_set(errp, "an ITS needs the GICv3 of its board; it can not be made alone");
}

static void reset_enter(Device *dev)
{
    Its *s = its(dev);

    s->ctlr = 0;
    s->cbaser = s->cwriter = s->creadr = 0;
    for (unsigned i = 0; i < NBASER; i++) {
        s->baser[i] = 0;
    }
    s->baser[BASER_DEVICE] = 1ull << 56 | (ENTRY_BYTES - 1ull) << 48 | 2 << 8;
    s->baser[BASER_COLLECTION] = 4ull << 56 | (ENTRY_BYTES - 1ull) << 48 | 2 << 8;
}

static const StateField rows[] = {
    STATE_U32(Its, ctlr, .max = 1), STATE_U64(Its, cbaser), STATE_U64(Its, cwriter), STATE_U64(Its, creadr),
    STATE_ARRAY(Its, baser, uint64_t), {}
};

static bool post_load(Device *dev, Error **errp)
{
    Its *s = its(dev);

    if (s->creadr % CMD_BYTES || s->cwriter % CMD_BYTES || s->creadr >= ((s->cbaser & 0xff) + 1) * 4096) {
        return error_set(errp, "its: queue positions 0x%" PRIx64 ", 0x%" PRIx64 " make no sense", s->creadr, s->cwriter);
    }
    return true;
}

static const DeviceType its_type = {
    .name = "arm-gicv3-its", .desc = "Arm interrupt translation service", .category = "Interrupt", .size = sizeof(Its),
    .blocks = &its_block, .nblocks = 1, .state = rows, .post_load = post_load, .realize = realize, .reset_enter = reset_enter,
};
DEVICE_TYPE(its_type);
