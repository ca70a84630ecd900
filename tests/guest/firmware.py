# SPDX-License-Identifier: MIT
"""Firmware, installers and kernels with other page sizes reach the texts that show them alive."""
import shutil

from machine import Machine, guest, linux, main


def pages_16k(tmp):
    with Machine(*linux('linux-arm64-16k', cpu='max,pauth-impdef=on')) as m:
        m.expect('GUEST-READY arm64 1')


def installer(tmp):
    g = guest('di-arm64')
    with Machine('-M', 'virt', '-cpu', 'cortex-a57', '-m', 1024, '-nographic', '-nic', 'none', '-kernel', g + '/kernel', '-initrd', g + '/initrd',
                 '-append', 'console=ttyAMA0') as m:
        m.expect('Select a language')


def u_boot(tmp):
    with Machine('-M', 'virt', '-cpu', 'cortex-a57', '-m', 256, '-nographic', '-nic', 'none', '-bios', guest('u-boot-arm64') + '/firmware.bin') as m:
        m.expect('U-Boot 20')
        m.expect('Hit any key')
        m.send('\n')
        m.expect('=> ')
        m.send('version\n')
        m.expect('U-Boot 20')


def edk2_pflash(tmp):
    g = guest('edk2-arm64')
    shutil.copy(g + '/vars.fd', tmp + '/vars.fd')
    with Machine('-M', 'virt', '-cpu', 'cortex-a57', '-m', 256, '-nographic', '-nic', 'none',
                 '-drive', f'if=pflash,format=raw,unit=0,readonly=on,file={g}/code.fd',
                 '-drive', f'if=pflash,format=raw,unit=1,file={tmp}/vars.fd') as m:
        m.expect('Shell>')


def edk2_kernel(tmp):
    g = guest('edk2-arm64')
    args = linux('linux-arm64-cloud')
    with Machine(*args, '-bios', g + '/firmware.bin') as m:
        m.expect('GUEST-READY arm64 1')


main([pages_16k, installer, u_boot, edk2_pflash, edk2_kernel])
