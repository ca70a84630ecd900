/* SPDX-License-Identifier: MIT */
/*
 * Device types as rows, and devices made from them.
 *
 * A device type is one const DeviceType in a linker section.  Its rows give
 * register dispatch, masks, power-on values, save and restore, digest, trace,
 * help and docs; only behaviour is written by hand.
 *
 * Life.  device_new() allocates and sets property defaults, those pinned by the
 * machine's version, then -global; device_set() sets properties; then
 * device_realize() resolves them, makes regions and lines and puts the device
 * on its bus, or fails and changes nothing.  The board (or bus) maps
 * dev->mmio[i] and connects dev->irq[i].  Unrealize takes it out again;
 * device_free() ends it.  All of that happens on the main thread with the
 * vCPUs parked or not yet started, hot-plug included.
 *
 * Lock.  Each device has one; register access, timers (timer_init with
 * &dev->lock), input ports and incoming lines run under it.  A device that shares
 * state with its bus may share the lock: set dev->mutex before realize.  Order:
 * machine > bus > device > interrupt controller > block node.
 *
 * Reset has three moments over the whole tree: *enter* sets own state (rows and
 * state table first, then the type's function; moves no wire, touches no other
 * device), *hold* moves wires, *exit* begins work.
 */
#ifndef HW_CORE_DEVICE_H
#define HW_CORE_DEVICE_H

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hw/core/clock.h"
#include "hw/core/inputs.h"
#include "hw/core/irq.h"
#include "hw/core/prop.h"
#include "memory/memory.h"
#include "migration/state.h"
#include "util/error.h"
#include "util/lsection.h"

typedef struct Machine Machine;
typedef struct Device Device;
typedef struct DeviceType DeviceType;
typedef struct DeviceBase DeviceBase;
typedef struct Bus Bus;
typedef struct Reg Reg;

/* ---- registers ---- */

/* What a handler learns of an access. */
typedef struct RegAccess {
    const Reg *reg;
    unsigned index;             /* element of an array row */
    unsigned bank;              /* as the row's bank function said */
    unsigned instance;          /* of the block */
    uint64_t old;               /* stored value before the write */
    uint64_t raw;               /* as the guest wrote it, in byte lanes, before masks */
    uint64_t lanes;             /* mask of the bytes that the access touches */
    unsigned mmio;              /* which region of the device */
    MemAttrs attrs;
} RegAccess;

/*
 * A register or an array of them.  The stored value is the word in storage;
 * a write stores (old & ~w) | (val & w), w being all bits that are not ro, rsvd
 * or w1c/w1s; then w1c clears, w1s sets; then `written` is told the new value
 * (for `wo` registers, which store nothing, the value as written less rsvd).
 * `read` replaces the stored value.  rsvd bits read as zero and ignore writes
 * (a guest that sets one is logged).  Narrow accesses read and write byte lanes;
 * the other lanes keep their value (0 in wo, virt, w1c and w1s registers).  An access that spans several rows or elements is made
 * of one access to each, lowest first, so arrays of byte registers take word accesses.
 */
struct Reg {
    const char *name;
    uint32_t offset;
    uint8_t size;               /* 1, 2, 4, 8 bytes */
    uint16_t count;             /* elements; 0: 1 */
    uint16_t stride;            /* bytes between them; 0: size */
    uint64_t reset;
    uint64_t ro, rsvd, w1c, w1s;
    bool wo;                    /* reads as 0 */
    bool todo;                  /* known, not modelled: reads as 0, writes ignored, both heard in the log */
    bool raz;                   /* architecturally reads as zero, writes ignored: silent */
    bool keep;                  /* reset leaves it alone */
    /* storage */
    bool virt;                  /* none: `read` and `written` do it all */
    bool shared;                /* storage is another row's (set/clear pairs): not saved or reset again */
    uint32_t at;                /* offset of element 0 in the device */
    uint16_t banks;             /* copies of the whole array, one after the other; 0: 1 */
    unsigned (*bank)(Device *dev, const Reg *reg, MemAttrs attrs);     /* default with banks: attrs.cpu */
    uint64_t (*read)(Device *dev, const RegAccess *a);
    void (*written)(Device *dev, const RegAccess *a, uint64_t val);
    const void *arg;            /* for handlers that serve several rows */
};

#define REG_AT(n, off, bytes, at_, ...) { .name = #n, .offset = off, .size = bytes, .at = at_, __VA_ARGS__ }
/* Slot n of the `uint32_t r[]` (`uint8_t r[]`, `uint64_t r[]`) of struct REG_OWNER, which the file defines: #define REG_OWNER Pl031 */
#define REG8(n, off, ...)  REG_AT(n, off, 1, offsetof(REG_OWNER, r) + (n) * sizeof(((REG_OWNER *)0)->r[0]), __VA_ARGS__)
#define REG16(n, off, ...) REG_AT(n, off, 2, offsetof(REG_OWNER, r) + (n) * sizeof(((REG_OWNER *)0)->r[0]), __VA_ARGS__)
#define REG32(n, off, ...) REG_AT(n, off, 4, offsetof(REG_OWNER, r) + (n) * sizeof(((REG_OWNER *)0)->r[0]), __VA_ARGS__)
#define REG64(n, off, ...) REG_AT(n, off, 8, offsetof(REG_OWNER, r) + (n) * sizeof(((REG_OWNER *)0)->r[0]), __VA_ARGS__)
/* Storage in a member of REG_OWNER of the register's width (or an array of such): banks and arrays lie in it row by row. */
#define REG8F(n, off, field, ...)  REG_AT(n, off, 1, offsetof(REG_OWNER, field), __VA_ARGS__)
#define REG32F(n, off, field, ...) REG_AT(n, off, 4, offsetof(REG_OWNER, field), __VA_ARGS__)
#define REG64F(n, off, field, ...) REG_AT(n, off, 8, offsetof(REG_OWNER, field), __VA_ARGS__)
/* No storage. */
#define REG8V(n, off, ...)  { .name = #n, .offset = off, .size = 1, .virt = true, __VA_ARGS__ }
#define REG16V(n, off, ...) { .name = #n, .offset = off, .size = 2, .virt = true, __VA_ARGS__ }
#define REG32V(n, off, ...) { .name = #n, .offset = off, .size = 4, .virt = true, __VA_ARGS__ }
#define REG64V(n, off, ...) { .name = #n, .offset = off, .size = 8, .virt = true, __VA_ARGS__ }
/* A constant (identification registers). */
#define REG_CONST(n, off, val) { .name = #n, .offset = off, .size = 4, .virt = true, .ro = ~0ull, .reset = val }
#define FIELD_TODO(n, off, bytes) { .name = #n, .offset = off, .size = bytes, .virt = true, .todo = true }

/* A register window.  DeviceType has one inline; types with several list them. */
typedef struct RegBlock {
    const char *name;
    const Reg *regs;
    uint64_t size;
    uint8_t access_min, access_max;     /* what the bus lets through: others are device errors; 0: 1 and 8 */
    bool dma_target;
    MemEndian endian;
    /* Instances behind each other, selected by offset / size (redistributors, contexts); RegAccess.instance says which.  With a
     * base, `at` of the rows counts from element `instance` of the array that the pointer at this offset of the device points to. */
    uint32_t instances;
    bool has_base;
    uint32_t instance_base, instance_size;
} RegBlock;

typedef struct RegMap RegMap;

/* ---- types ---- */

/* What the devices of a bus have in common (PCI configuration, virtio transport): its own rows before the type's. */
struct DeviceBase {
    const char *name;
    const DeviceBase *base;
    const Prop *props;
    const StateTable *state;
    bool (*realize)(Device *dev, Error **errp);         /* before the type's */
    bool (*realize_late)(Device *dev, Error **errp);    /* after it */
    void (*unrealize)(Device *dev);                     /* after the type's */
    void (*reset_enter)(Device *dev);
    void (*reset_hold)(Device *dev);
    void (*reset_exit)(Device *dev);
};

struct DeviceType {
    const char *name;
    const char *const *aliases;         /* NULL-terminated, or NULL */
    const char *desc;
    const char *category;               /* help groups: "Storage", "Network", "Input", "Display", "Misc", "Interrupt", ... */
    size_t size;                        /* of the C struct, Device first */
    const char *bus;                    /* bus type it plugs into ("PCI", "virtio-bus"); NULL: a platform device */
    const DeviceBase *base;
    const Prop *props;
    bool user_creatable;                /* -device may make one */
    bool hotpluggable;
    /* registers: one window inline, or several */
    const Reg *regs;
    uint64_t mmio_size;
    const RegBlock *blocks;
    unsigned nblocks;
    unsigned irqs, irq_inputs;          /* realize may change them with device_set_irqs */
    IrqHandler *irq_in;                 /* opaque: the Device; lock not held, the handler takes it */
    /* state beyond registers; "stateless" in words otherwise */
    const StateField *state;
    uint16_t state_version;
    bool stateless;
    void (*pre_save)(Device *dev);
    bool (*post_load)(Device *dev, Error **errp);
    /* life */
    bool (*init)(Device *dev, Error **errp);            /* after allocation, before properties */
    bool (*realize)(Device *dev, Error **errp);
    void (*unrealize)(Device *dev);
    void (*finalize)(Device *dev);                      /* frees what init or properties made */
    void (*reset_enter)(Device *dev);
    void (*reset_hold)(Device *dev);
    void (*reset_exit)(Device *dev);
    void (*fdt)(Device *dev, void *fdt, const char *node);     /* adds its own properties to a node that the board began */
    void (*info)(Device *dev, GString *out);            /* for `info qtree` and friends, beyond the rows */
    const void *ops;                                    /* record of the bus core: PciDeviceOps, VirtioOps */
};

#define DEVICE_TYPE(row) ROW_IN_SECTION(rhea_device_types, DeviceType, row)

struct Device {
    const DeviceType *type;
    Machine *machine;
    char *id;                   /* of the user, or NULL */
    char *path;                 /* unique: "pl011@9000000", "pcie.0/01.0/virtio-blk"; names its section in a save */
    Bus *bus;                   /* it sits on; NULL: the platform */
    GPtrArray *buses;           /* it provides */
    pthread_mutex_t own_lock;
    pthread_mutex_t *mutex;     /* &own_lock unless shared */
    MemRegion *mmio;            /* nmmio windows, made at realize; types add theirs with device_add_mmio */
    unsigned nmmio;
    RegMap **maps;
    IrqLine *irq;               /* nirq outputs */
    unsigned nirq, nirq_in;
    bool realized;
    bool hotplugged;
    AddressSpace *dma_as;       /* where its DMA goes; the system's unless its bus says otherwise */
    uint32_t nr;                /* order of creation */
};

static inline void device_lock(Device *dev)
{
    pthread_mutex_lock(dev->mutex);
}

static inline void device_unlock(Device *dev)
{
    pthread_mutex_unlock(dev->mutex);
}

/* By name or alias; NULL. */
const DeviceType *device_type_find(const char *name);
void device_types_foreach(void (*fn)(const DeviceType *t, void *data), void *data);     /* sorted by name */
/* Fails with the nearest names as a hint. */
Device *device_new(Machine *m, const char *type, const char *id, Error **errp);
Device *device_new_type(Machine *m, const DeviceType *type, const char *id, Error **errp);
bool device_set(Device *dev, const char *prop, const char *text, Error **errp);
char *device_get(Device *dev, const char *prop, Error **errp);
/* A structured setting made by board code with a value that is known to be right. */
void device_set_or_die(Device *dev, const char *prop, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* bus NULL: a platform device.  `where` is its place in the path: address, slot, or NULL (a number is given). */
bool device_realize(Device *dev, Bus *bus, const char *where, Error **errp);
void device_unrealize(Device *dev);
void device_free(Device *dev);              /* unrealizes first when needed */
Device *device_find(Machine *m, const char *id_or_path);
void devices_foreach(Machine *m, void (*fn)(Device *dev, void *data), void *data);      /* realized ones, in order of creation */
void device_help(const DeviceType *t, GString *out);    /* X,help */

/* In realize. */
void device_set_irqs(Device *dev, unsigned outputs, unsigned inputs);
/* Another window, not made of rows; returns its index. The array moves: keep no pointers to earlier ones across the call. */
unsigned device_add_mmio(Device *dev, const char *name, uint64_t size, const MemOps *ops, void *opaque);
/* A window made of rows whose number is only known at realize. */
unsigned device_add_regs(Device *dev, const RegBlock *block);

/* Boards. */
void device_map(Device *dev, unsigned mmio, MemRegion *in, paddr addr);
void device_connect(Device *from, unsigned out, Device *to, unsigned in);
IrqHandler *device_irq_in(Device *dev);

/* Reset of one device with what hangs on its buses, all three moments. */
void device_reset(Device *dev);
/* Save, load, digest of one device: rows, base and state tables, output levels. */
void device_save(Device *dev, StateWriter *w);
bool device_check(Device *dev, StateReader *r, Error **errp);
bool device_load(Device *dev, StateReader *r, Error **errp);
uint64_t device_digest(Device *dev);
void device_print(Device *dev, GString *out);       /* registers and state as "name=value" lines */

/* Register access by rows, as the bus would make it (lock held by the caller); for windows with ops of their own. */
MemResult device_reg_read(Device *dev, unsigned mmio, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs);
MemResult device_reg_write(Device *dev, unsigned mmio, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs);

/* ---- buses ---- */

typedef struct BusType {
    const char *name;                   /* "PCI", "virtio-bus", "System" */
    unsigned max_devices;               /* 0: no limit */
    /* The device wants in: choose its place, refuse it.  `where` (may be NULL) gets the path component. */
    bool (*attach)(Bus *bus, Device *dev, char **where, Error **errp);
    void (*detach)(Bus *bus, Device *dev);
    bool (*accepts)(Bus *bus, const DeviceType *t);     /* beyond the name; NULL: yes */
} BusType;

/* Embedded in a bus core's own struct. */
struct Bus {
    const BusType *type;
    char *name;                 /* "pcie.0": -device X,bus=NAME */
    Device *parent;
    Machine *machine;
    GPtrArray *devices;
    AddressSpace *dma_as;       /* for its devices; NULL: the parent's */
    bool hotplug;
};

void bus_init(Bus *bus, const BusType *type, Device *parent, const char *name);
void bus_fini(Bus *bus);
/* By name; with NULL the first bus of that type with room.  Fails with names. */
Bus *bus_find(Machine *m, const char *type, const char *name, Error **errp);
void buses_foreach(Machine *m, void (*fn)(Bus *bus, void *data), void *data);

/* ---- the rest of the world, for devices ---- */
Clock *device_clock(Device *dev);
Inputs *device_inputs(Device *dev);

#endif
