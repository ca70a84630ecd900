# SPDX-License-Identifier: MIT
"""Seeds for fuzz-image: an ELF program, a device tree, a gzip file."""
import gzip
import struct
import sys

elf = b'\x7fELF\x02\x01\x01' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', 2, 183, 1, 0x40000000, 64, 0, 0, 64, 56, 2, 0, 0, 0)
for i in range(2):
    elf += struct.pack('<IIQQQQQQ', 1, 5, 64, 0, 0x40000000 + 0x1000 * i, 32, 64, 4096)
struct_block = struct.pack('>I', 1) + bytes(4) + struct.pack('>III', 3, 4, 0) + b'abc\0' + struct.pack('>III', 1, 0x63686f73, 0x656e0000) + \
    struct.pack('>III', 2, 2, 9)
strings = b'model\0'
head = 40 + 16
dtb = struct.pack('>10I', 0xd00dfeed, head + len(struct_block) + len(strings), head, head + len(struct_block), 40, 17, 16, 0, len(strings),
                  len(struct_block)) + bytes(16) + struct_block + strings
for path, data in zip(sys.argv[1:], (elf, dtb, gzip.compress(b'hello' * 100, mtime=0))):
    with open(path, 'wb') as f:
        f.write(data)
