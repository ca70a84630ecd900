/* SPDX-License-Identifier: MIT */
/* The option table, in the order of -help. */
#include "system/cmdline.h"

#define HEADING(text) { .help = text }
#define ABSENT(n, a, why) { .name = n, .arg = a, .absent = why, .hidden = true }

static const char no_display[] = "there is no display; use -display none or -nographic";
static const char no_usb[] = "there is no USB";
static const char no_audio[] = "there is no audio";
static const char no_acpi[] = "there are no ACPI and SMBIOS tables";
static const char no_snapshots[] = "machine states live in files: migrate file:PATH and -incoming file:PATH";

const CmdOption cmd_options[] = {
    HEADING("Standard options:"),
    { "h", NULL, "display this help and exit" },
    { "help", .hidden = true },
    { "version", NULL, "display version information and exit" },
    { "machine", "[type=]name[,prop[=value][,...]]", "selects the board ('-machine help' for a list, '-machine name,help' for properties)\n"
      "accel=name[:name...] names accelerators in the order they are tried", "machine" },
    { "M", "name", .group = "machine", .as = "machine", .as_text = "%R", .hidden = true },
    { "cpu", "model[,prop[=value][,...]]", "selects the processor model ('-cpu help' for a list)" },
    { "accel", "[accel=]name[,prop[=value][,...]]", "selects an accelerator ('-accel help' for a list); several are tried in order\n"
      "tb-size=n (MiB of translated code), thread=single|multi", "accel" },
    { "enable-kvm", NULL, "the same as -accel kvm", .as = "accel", .as_text = "kvm" },
    { "smp", "[[cpus=]n][,maxcpus=maxcpus][,sockets=n][,dies=n][,clusters=n][,cores=n][,threads=n]",
      "number of processors and how they are grouped", "smp-opts" },
    { "m", "[size=]megs[,slots=n,maxmem=size]", "memory of the guest (default: 128 MiB; suffixes k M G T)", "memory" },
    { "mem-path", "FILE", "memory of the guest is this file, or a file in this folder" },
    { "mem-prealloc", NULL, "take all memory from the host at the start" },
    { "global", "driver.property=value", "default of a property for all devices of a type\n"
      "also: driver=driver,property=property,value=value" },
    { "boot", "[menu=on|off][,splash-time=time][,reboot-timeout=time][,strict=on|off]", "what firmware starts from; the order is bootindex= of the devices", "boot-opts" },
    { "device", "driver[,prop[=value][,...]]", "add a device ('-device help' for a list, '-device driver,help' for properties)", "device" },
    { "name", "string1[,process=string2][,debug-threads=on|off]", "name of the guest, of the process, and thread names", "name" },
    { "uuid", "%08x-%04x-%04x-%04x-%012x", "UUID of the machine" },
    { "seed", "number", "seed of the machine's random source; runs repeat under -icount shift=N" },
    ABSENT("numa", "x", "memory has one node"),
    { "add-fd", "fd=fd,set=set[,opaque=opaque]", "the open descriptor 'fd' goes into set 'set': files named /dev/fdset/<set>", "add-fd" },
    ABSENT("set", "x", "give the property where the device is named"),
    ABSENT("k", "x", no_display),
    ABSENT("audio", "x", no_audio), ABSENT("audiodev", "x", no_audio), ABSENT("audio-help", NULL, no_audio), ABSENT("soundhw", "x", no_audio),

    HEADING("Block device options:"),
    { "hda", "file", "use 'file' as disk 0; -hdb, -hdc, -hdd likewise", .as = "drive", .as_text = "file=%s,index=0,media=disk" },
    { "hdb", "file", .as = "drive", .as_text = "file=%s,index=1,media=disk", .hidden = true },
    { "hdc", "file", .as = "drive", .as_text = "file=%s,index=2,media=disk", .hidden = true },
    { "hdd", "file", .as = "drive", .as_text = "file=%s,index=3,media=disk", .hidden = true },
    { "cdrom", "file", "use 'file' as CD-ROM image", .as = "drive", .as_text = "file=%s,index=2,media=cdrom" },
    { "blockdev", "[driver=]driver[,node-name=N][,discard=ignore|unmap]\n"
      "          [,cache.direct=on|off][,cache.no-flush=on|off]\n"
      "          [,read-only=on|off][,auto-read-only=on|off]\n"
      "          [,force-share=on|off][,detect-zeroes=on|off|unmap]\n"
      "          [,driver specific parameters...]", "define a block node", "blockdev" },
    { "drive", "[file=file][,if=type][,bus=n][,unit=m][,media=d][,index=i]\n"
      "       [,cache=writethrough|writeback|none|directsync|unsafe][,format=f]\n"
      "       [,snapshot=on|off][,rerror=ignore|stop|report]\n"
      "       [,werror=ignore|stop|report|enospc][,id=name]\n"
      "       [,aio=threads|native|io_uring]\n"
      "       [,readonly=on|off][,copy-on-read=on|off]\n"
      "       [,discard=ignore|unmap][,detect-zeroes=on|off|unmap]", "define a disk, and its device unless if=none", "drive" },
    { "snapshot", NULL, "write to temporary files instead of the disk images" },
    ABSENT("fda", "x", "there is no floppy drive"), ABSENT("fdb", "x", "there is no floppy drive"),
    ABSENT("mtdblock", "x", "there is no on-board flash of that kind; use -drive if=pflash"), ABSENT("sd", "x", "there is no SD card slot"),
    ABSENT("fsdev", "x", "there is no file system sharing"), ABSENT("virtfs", "x", "there is no file system sharing"),
    { "iscsi", "[user=user][,password=password][,password-secret=id]\n"
      "       [,header-digest=CRC32C|CRC32C-NONE|NONE-CRC32C|NONE]\n"
      "       [,initiator-name=initiator-iqn][,timeout=seconds]", "settings of iSCSI disks that do not have their own", "iscsi" },

    HEADING("USB convenience options:"),
    ABSENT("usb", NULL, no_usb), ABSENT("usbdevice", "x", no_usb),

    HEADING("Display options:"),
    { "display", "none", "no display (the default)", "display" },
    { "nographic", NULL, "no display; serial line and monitor share the terminal" },
    { "vga", "none", "no graphics card (the default of boards without one)" },
    { "vnc", "none", "no VNC server" },
    ABSENT("spice", "x", "there is no SPICE"), ABSENT("full-screen", NULL, no_display), ABSENT("portrait", NULL, no_display),
    ABSENT("rotate", "x", no_display),
    ABSENT("win2k-hack", NULL, "there is no x86 guest"), ABSENT("no-fd-bootchk", NULL, "there is no x86 guest"),
    ABSENT("no-hpet", NULL, "there is no x86 guest"),
    { "no-acpi", NULL, "no ACPI tables", .as = "machine", .as_text = "acpi=off" },
    ABSENT("acpitable", "x", no_acpi), ABSENT("smbios", "x", no_acpi),

    HEADING("Network options:"),
    { "netdev", "user,id=str[,net=addr[/mask]][,host=addr][,restrict=on|off]\n"
      "         [,hostname=host][,dhcpstart=addr][,dns=addr][,domainname=domain]\n"
      "         [,tftp=dir][,bootfile=f][,hostfwd=rule]", "network back end ('-netdev help' for a list)", "netdev" },
    { "nic", "[user|none][,model=m][,mac=addr][,...]", "network card and back end in one", "nic" },
    { "net", "nic[,model=m][,macaddr=addr]|user[,...]|none", "network card and back end in two, the old way", "net" },

    HEADING("Character device options:"),
    { "chardev", "null,id=id[,mux=on|off][,logfile=PATH][,logappend=on|off]", "character device ('-chardev help' for a list)\n"
      "-chardev socket,id=id,path=path[,server=on|off][,wait=on|off][,reconnect=seconds]\n"
      "-chardev socket,id=id,host=host,port=port[,server=on|off][,wait=on|off][,telnet=on|off][,reconnect=seconds]\n"
      "-chardev stdio,id=id[,signal=on|off]\n-chardev file,id=id,path=path[,append=on|off][,input-path=path]\n"
      "-chardev pipe,id=id,path=path\n-chardev pty,id=id\n-chardev ringbuf,id=id[,size=size]", "chardev" },
    ABSENT("tpmdev", "x", "there is no TPM"),

    HEADING("Boot Image or Kernel specific:"),
    { "bios", "file", "firmware", .as = "machine", .as_text = "firmware=%s" },
    { "pflash", "file", "use 'file' as a parallel flash image", .as = "drive", .as_text = "if=pflash,file=%s" },
    { "kernel", "bzImage", "use 'bzImage' (Image, ELF, flat) as kernel", .as = "machine", .as_text = "kernel=%s" },
    { "append", "cmdline", "use 'cmdline' as kernel command line", .as = "machine", .as_text = "append=%s" },
    { "initrd", "file", "use 'file' as initial ram disk", .as = "machine", .as_text = "initrd=%s" },
    { "dtb", "file", "use 'file' as device tree", .as = "machine", .as_text = "dtb=%s" },
    { "fw_cfg", "[name=]<name>,file=<file>|string=<str>", "add a file for firmware and guest", "fw_cfg" },
    ABSENT("shim", "x", "there is no x86 guest"), ABSENT("option-rom", "x", "there is no x86 guest"), ABSENT("compat", "x", "nothing is deprecated"),

    HEADING("Debug/Expert options:"),
    { "serial", "dev", "redirect the serial port to 'dev': stdio, mon:stdio, null, none, pty, file:F, pipe:F,\n"
      "unix:PATH[,server][,wait=off], tcp:HOST:PORT[,...], telnet:HOST:PORT[,...], chardev:ID" },
    { "parallel", "none", "there is no parallel port" },
    { "monitor", "dev", "redirect the monitor to 'dev'" },
    { "qmp", "dev", "like -monitor, for programs: QMP" },
    { "qmp-pretty", "dev", "like -qmp, with answers on many lines" },
    { "mon", "[chardev=]name[,mode=readline|control][,pretty[=on|off]]", "attach a monitor to a character device", "mon" },
    ABSENT("debugcon", "x", "there is no x86 guest"),
    { "pidfile", "file", "write the process number to 'file'" },
    ABSENT("preconfig", NULL, "configuration is on the command line"), ABSENT("singlestep", NULL, "use the debugger"),
    { "S", NULL, "do not start the processors (monitor: 'c')" },
    { "overcommit", "[mem-lock=on|off]", "lock the guest's memory", "overcommit" },
    { "gdb", "dev", "accept gdb connection on 'dev'" },
    { "s", NULL, "shorthand for -gdb tcp::1234", .as = "gdb", .as_text = "tcp::1234" },
    { "d", "item1,...", "log these items ('-d help' for a list)" },
    { "D", "logfile", "log to 'logfile' (default: stderr)" },
    ABSENT("dfilter", "x", "the log is not filtered by address"),
    { "L", "path", "folder with firmware" },
    { "no-reboot", NULL, "exit instead of rebooting", .as = "action", .as_text = "reboot=shutdown" },
    { "no-shutdown", NULL, "stop before shutdown", .as = "action", .as_text = "shutdown=pause" },
    { "action", "reboot=reset|shutdown,shutdown=poweroff|pause,panic=pause|shutdown|exit-failure|none", "what follows these events", "action" },
    { "loadvm", "tag", "start from a snapshot that savevm made" },
    { "daemonize", NULL, "go to the background once started" },
    { "rtc", "[base=utc|localtime|<datetime>][,clock=host|rt|vm]", "the real time clock", "rtc" },
    { "icount", "[shift=N|auto][,align=on|off][,sleep=on|off]", "time goes by instructions: 2^N ns each, or as the host's (auto)", "icount" },
    ABSENT("watchdog", "x", "there is no watchdog"), ABSENT("watchdog-action", "x", "there is no watchdog"),
    { "echr", "chr", "escape key of the terminal instead of Ctrl-A (1)" },
    { "incoming", "file:PATH|defer", "start from a saved machine" },
    ABSENT("only-migratable", NULL, "every device can be saved"),
    { "nodefaults", NULL, "only the devices that are asked for" },
    { "no-user-config", NULL, "there are no configuration files in the background; accepted" },
    ABSENT("chroot", "x", "run it in a namespace"), ABSENT("runas", "x", "start it as that user"), ABSENT("run-with", "x", "start it as that user"),
    ABSENT("async-teardown", NULL, "the kernel frees the memory"), ABSENT("sandbox", "x", "there is no system call filter"),
    { "readconfig", "file", "read options from 'file'" },
    { "trace", "[enable=]pattern", "arm trace points ('-trace help' for a list)", "trace" },
    ABSENT("plugin", "x", "there are no plug-ins"), ABSENT("msg", "x", "messages have one form"),
    ABSENT("semihosting", NULL, "there is no semihosting"), ABSENT("semihosting-config", "x", "there is no semihosting"),
    ABSENT("dump-vmstate", "x", no_snapshots), ABSENT("enable-sync-profile", NULL, "use the host's profiler"),
    ABSENT("perfmap", NULL, "use info jit"), ABSENT("jitdump", NULL, "use info jit"), ABSENT("prom-env", "x", "there is no such guest"),

    HEADING("Generic object creation:"),
    { "object", "TYPENAME[,PROP1=VALUE1,...]", "create an object ('-object help' for a list)", "object" },
    {}
};
