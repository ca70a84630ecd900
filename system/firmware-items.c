/* SPDX-License-Identifier: MIT */
/* What the command line gives firmware through fw_cfg: -fw_cfg, -boot, bootindex=, -uuid. */
#include <endian.h>
#include <string.h>

#include "hw/nvram/fw_cfg.h"
#include "hw/virtio/bootorder.h"
#include "system/firmware.h"
#include "util/filemap.h"

static bool add_fw_cfg(const CmdArg *a, void *data, Error **errp)
{
    System *s = data;
    const char *name = json_get_string(a->value, "name"), *path = json_get_string(a->value, "file"), *string = json_get_string(a->value, "string");
    g_autoptr(FileMap) map = NULL;

    if (!s->machine->fw_cfg) {
        return error_set(errp, "machine '%s' has no fw_cfg", s->machine->type->name);
    }
    if (!path == !string) {
        return error_set(errp, "give it either file= or string=");
    }
    if (string) {
        return fw_cfg_set_file(s->machine->fw_cfg, name, string, strlen(string), errp);
    }
    map = file_map(path, errp);
    return map && fw_cfg_set_file(s->machine->fw_cfg, name, map->data, map->size, errp);
}

/* bootindex= of the devices, and -boot strict=on: nothing else is started from. */
static bool add_bootorder(System *s, Error **errp)
{
    g_autoptr(Json) boot = cmdline_merged(s->cl, "boot");
    g_autoptr(GString) order = virtio_bootorder(s->machine);
    uint16_t wait = htole16((uint16_t)json_get_u64(boot, "splash-time", 0));
    uint32_t again = htole32((uint32_t)json_get_u64(boot, "reboot-timeout", 0));
    Device *fw = s->machine->fw_cfg;

    if (!fw) {
        return true;
    }
    if (json_get_bool(boot, "strict", false)) {
        g_string_insert(order, order->len ? (gssize)order->len - 1 : 0, order->len ? "\nHALT" : "HALT");
        g_string_append_len(order, "", order->str[order->len - 1] != 0);
    }
    fw_cfg_set_u16(fw, FW_CFG_BOOT_MENU, json_get_bool(boot, "menu", false));
    return fw_cfg_set_file(fw, "bootorder", order->str, order->len, errp) &&
           (!json_get(boot, "splash-time") || fw_cfg_set_file(fw, "etc/boot-menu-wait", &wait, sizeof(wait), errp)) &&
           (!json_get(boot, "reboot-timeout") || fw_cfg_set_file(fw, "etc/boot-fail-wait", &again, sizeof(again), errp));
}

/* -uuid, as firmware sees it: sixteen bytes in the order of the text. */
static void pass_uuid(System *s)
{
    g_autofree char *hex = g_malloc0(33);
    uint8_t bytes[16];
    unsigned n = 0;

    for (const char *p = s->uuid; *p; p++) {
        if (*p != '-') {
            hex[n++] = *p;
        }
    }
    for (n = 0; n < 16; n++) {
        bytes[n] = (uint8_t)(g_ascii_xdigit_value(hex[2 * n]) * 16 + g_ascii_xdigit_value(hex[2 * n + 1]));
    }
    fw_cfg_set(s->machine->fw_cfg, FW_CFG_UUID, bytes, sizeof(bytes));
}

bool firmware_items(System *s, Error **errp)
{
    if (s->uuid && s->machine->fw_cfg) {
        pass_uuid(s);
    }
    return cmdline_each(s->cl, "fw_cfg", add_fw_cfg, s, errp) && add_bootorder(s, errp);
}
