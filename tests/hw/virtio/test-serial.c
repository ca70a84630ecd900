/* SPDX-License-Identifier: MIT */
/* virtio-serial: console and named port, control messages in their order, bytes both ways, a driver without MULTIPORT. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "hw/core/machine.h"
#include "io/loop.h"
#include "io/session.h"
#include "tests/hw/virtio/guest.h"
#include "tests/wait.h"
#include "util/bits.h"

enum { CTRL_IN = 2, CTRL_OUT = 3 };

static Loop *loop;

typedef struct Serial {
    Session *s;
    Guest *g;
    char *dir, *path;
    int fd;                     /* the host's end of port 1 */
    uint64_t buf[8][128];       /* by queue and id */
} Serial;

static void settle(void)
{
    for (int i = 0; i < 20; i++) {
        loop_step(loop, false);
    }
}

static void give(Serial *t, unsigned queue, uint32_t len)
{
    DrvSg sg = { drv_alloc(&t->g->mem, len, 1), len };
    int id = drvq_add(t->g->queues[queue], &sg, 0, 1);

    g_assert_cmpint(id, >=, 0);
    t->buf[queue][id] = sg.addr;
    guest_kick(t->g, queue);
}

static void say(Serial *t, unsigned queue, const void *data, uint32_t len)
{
    DrvSg sg = { drv_alloc(&t->g->mem, len, 1), len };

    memcpy(drv_ptr(&t->g->mem, sg.addr), data, len);
    drvq_add(t->g->queues[queue], &sg, 1, 0);
    guest_kick(t->g, queue);
}

/* The next thing in a receive queue. */
static const uint8_t *hear(Serial *t, unsigned queue, uint32_t *len)
{
    int id = drvq_used(t->g->queues[queue], len);

    return id < 0 ? NULL : drv_ptr(&t->g->mem, t->buf[queue][id]);
}

static void expect(Serial *t, uint32_t port, uint16_t event, uint16_t value, const char *text)
{
    uint8_t want[64] = { (uint8_t)port, 0, 0, 0, (uint8_t)event, 0, (uint8_t)value, 0 };
    size_t n = text ? strlen(text) : 0;
    const uint8_t *m;
    uint32_t len;

    memcpy(want + 8, text ? text : "", n);
    m = hear(t, CTRL_IN, &len);
    g_assert_nonnull(m);
    g_assert_cmpmem(m, len, want, 8 + n);
    give(t, CTRL_IN, 64);
}

static void control(Serial *t, uint32_t port, uint16_t event, uint16_t value)
{
    uint8_t m[8] = { (uint8_t)port, 0, 0, 0, (uint8_t)event, 0, (uint8_t)value, 0 };

    say(t, CTRL_OUT, m, sizeof(m));
}

static void plug(Serial *t, const char *type, const char *chardev, const char *name)
{
    Error *err = NULL;
    Device *dev = device_new(t->g->m, type, NULL, &err);

    device_set_or_die(dev, "chardev", "%s", chardev);
    if (name) {
        device_set_or_die(dev, "name", "%s", name);
    }
    if (!device_realize(dev, bus_find(t->g->m, "virtio-serial-bus", NULL, &err), NULL, &err)) {
        g_error("%s", error_message(err));
    }
}

static Serial *serial_new(GuestKind kind)
{
    Serial *t = g_new0(Serial, 1);
    CharHost host = { 0 };
    Error *err = NULL;
    g_autofree char *text = NULL;
    bool monitor;

    t->s = session_new();
    t->dir = g_dir_make_tmp("rhea-XXXXXX", NULL);
    t->path = g_build_filename(t->dir, "port", NULL);
    text = g_strdup_printf("unix:%s,server=on,wait=off", t->path);
    chardevs_init(t->s, loop, &host);
    g_assert_nonnull(chardev_new_text(t->s, "c1", text, &monitor, &err));
    {
        g_autoptr(Json) ring = json_object();

        json_set_string(ring, "backend", "ringbuf");
        json_set_string(ring, "id", "c0");
        g_assert_nonnull(chardev_new(t->s, ring, &err));
    }
    t->g = guest_new(kind, t->s, "virtio-serial", NULL);
    plug(t, "virtconsole", "c0", NULL);
    plug(t, "virtserialport", "c1", "org.example.agent");
    t->fd = -1;
    settle();
    return t;
}

static void connect_host(Serial *t)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    g_strlcpy(addr.sun_path, t->path, sizeof(addr.sun_path));
    t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    g_assert_cmpint(connect(t->fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    for (int i = 0; i < 50; i++) {
        loop_step(loop, false);
        g_usleep(500);
    }
}

static void serial_free(Serial *t)
{
    if (t->fd >= 0) {
        close(t->fd);
    }
    guest_free(t->g);
    chardevs_exit(t->s);
    session_free(t->s);
    settle();
    unlink(t->path);
    rmdir(t->dir);
    g_free(t->path);
    g_free(t->dir);
    g_free(t);
}

static void expect_ring(Serial *t, const char *text)
{
    size_t len;
    g_autofree uint8_t *got = chardev_ringbuf_read(chardev_find(t->s, "c0"), 1000, &len, NULL);

    g_assert_cmpmem(got, len, text, strlen(text));
}

static void ports(gconstpointer data)
{
    Serial *t = serial_new(GPOINTER_TO_UINT(data));
    const uint8_t *m;
    char back[100];
    uint32_t len;
    unsigned got = 0;

    guest_start(t->g, BIT64(1) | BIT64(28) | BIT64(29), 6, 32);
    g_assert_cmpuint(guest_config(t->g, 4, 4), ==, 31);
    for (int i = 0; i < 8; i++) {
        give(t, CTRL_IN, 64);
    }
    control(t, 0, 0, 1);                                /* DEVICE_READY */
    expect(t, 0, 1, 1, NULL);
    expect(t, 1, 1, 1, NULL);
    control(t, 0, 3, 1);                                /* PORT_READY */
    expect(t, 0, 4, 1, NULL);                           /* a console */
    control(t, 1, 3, 1);
    while ((m = hear(t, CTRL_IN, &len)) && m[4] == 6) { /* the ring is always open */
        give(t, CTRL_IN, 64);
    }
    g_assert_nonnull(m);
    g_assert_cmpuint(m[4], ==, 7);
    g_assert_cmpmem(m + 8, len - 8, "org.example.agent", 17);
    give(t, CTRL_IN, 64);
    g_assert_null(hear(t, CTRL_IN, &len));
    connect_host(t);
    expect(t, 1, 6, 1, NULL);                           /* somebody is there */
    say(t, 1, "console says hello\n", 19);
    expect_ring(t, "console says hello\n");
    say(t, 5, "to the agent", 12);
    settle();
    g_assert_cmpint(read(t->fd, back, sizeof(back)), ==, 12);
    g_assert_cmpmem(back, 12, "to the agent", 12);
    /* the other way: nothing before the guest opens the port and gives buffers */
    g_assert_cmpint(write(t->fd, "0123456789", 10), ==, 10);
    settle();
    give(t, 4, 4);
    settle();
    g_assert_null(hear(t, 4, &len));
    control(t, 1, 6, 1);
    for (int i = 0; i < 3; i++) {
        give(t, 4, 4);
    }
    while (got < 10) {
        WAIT_UNTIL((m = hear(t, 4, &len)), loop_step(loop, false));
        g_assert_cmpmem(m, len, &"0123456789"[got], len);
        got += len;
    }
    close(t->fd);
    t->fd = -1;
    for (int i = 0; i < 50; i++) {
        loop_step(loop, false);
        g_usleep(500);
    }
    expect(t, 1, 6, 0, NULL);
    serial_free(t);
}

/* An old driver: two queues, one console. */
static void plain(void)
{
    Serial *t = serial_new(GUEST_MMIO_LEGACY);

    guest_start(t->g, 0, 2, 32);
    say(t, 1, "plain", 5);
    expect_ring(t, "plain");
    guest_config_write(t->g, 8, 4, '!');                /* emergency write */
    expect_ring(t, "!");
    serial_free(t);
}

static void numbers(void)
{
    Serial *t = serial_new(GUEST_MMIO);
    g_autoptr(Error) err = NULL;
    Device *dev = device_new(t->g->m, "virtserialport", NULL, NULL);

    device_set_or_die(dev, "nr", "1");
    g_assert_false(device_realize(dev, bus_find(t->g->m, "virtio-serial-bus", NULL, NULL), NULL, &err));
    g_assert_cmpstr(error_message(err), ==, "virtio-serial-bus: A port already exists at id 1");
    device_set_or_die(dev, "nr", "0");
    g_clear_pointer(&err, error_free);
    g_assert_false(device_realize(dev, bus_find(t->g->m, "virtio-serial-bus", NULL, NULL), NULL, &err));
    device_free(dev);
    serial_free(t);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    loop = loop_new("test");
    loop_attach(loop);
    g_test_add_data_func("/virtio-serial/ports/mmio", GUINT_TO_POINTER(GUEST_MMIO), ports);
    g_test_add_data_func("/virtio-serial/ports/pci", GUINT_TO_POINTER(GUEST_PCI), ports);
    g_test_add_func("/virtio-serial/plain", plain);
    g_test_add_func("/virtio-serial/numbers", numbers);
    status = g_test_run();
    loop_attach(NULL);
    loop_free(loop);
    return status;
}
