#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""NBD over TLS: certificates, keys, nobody; who is refused and in what words; the packaged clients and servers.

usage: nbd-tls.py RHEA-NBD RHEA-IMG [TEST...]
"""
import os
import random
import shutil
import subprocess
import sys

from nbdlib import *

NBD, IMG = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MiB = 1 << 20


def image(name='r.img', size=2 * MiB):
    data = random.Random(1).randbytes(size)
    with open(name, 'wb') as f:
        f.write(data)
    return data


def authority(folder, name):
    os.makedirs(folder, exist_ok=True)
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', f'/CN={name}', '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
        '-keyout', f'{folder}/ca-key.pem', '-out', f'{folder}/ca-cert.pem')


def certificate(ca, folder, kind, name, purpose, days=30):
    """Files as tls-creds-x509 wants them, signed by the authority in `ca`."""
    os.makedirs(folder, exist_ok=True)
    with open('ext', 'w') as f:
        f.write(f'subjectAltName=DNS:{name},IP:127.0.0.1\nextendedKeyUsage={purpose}\nkeyUsage=digitalSignature\nbasicConstraints=CA:FALSE\n')
    run('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/O=Tests/CN={name}', '-keyout', f'{folder}/{kind}-key.pem', '-out', 'req.pem')
    run('openssl', 'x509', '-req', '-in', 'req.pem', '-CA', f'{ca}/ca-cert.pem', '-CAkey', f'{ca}/ca-key.pem', '-CAcreateserial', '-days', str(days), '-extfile', 'ext', '-out', f'{folder}/{kind}-cert.pem')
    with open(f'{ca}/ca-cert.pem') as f, open(f'{folder}/ca-cert.pem', 'w') as g:
        g.write(f.read())


def world():
    """Two authorities; a server, a client of each, a client that is not on the list."""
    need('openssl')
    authority('ca', 'the authority')
    authority('other-ca', 'another authority')
    certificate('ca', 'server', 'server', 'disk.example', 'serverAuth')
    certificate('ca', 'client', 'client', 'guest.example', 'clientAuth')
    certificate('ca', 'client2', 'client', 'stranger.example', 'clientAuth')
    certificate('other-ca', 'wrong', 'client', 'guest.example', 'clientAuth')
    os.makedirs('none')
    with open('ca/ca-cert.pem') as f, open('none/ca-cert.pem', 'w') as g:
        g.write(f.read())


def creds(folder, endpoint, more=''):
    return ['--object', f'tls-creds-x509,id=tls,endpoint={endpoint},dir={os.path.abspath(folder)}{more}']


def convert(s, folder, hostname='disk.example', status=0, more='', export='ex'):
    host = f',file.tls-hostname={hostname}' if hostname else ''
    return run(IMG, 'convert', *creds(folder, 'client', more), '--image-opts', '-O', 'raw', f'driver=raw,file.driver=nbd,file.path={s.path},file.export={export},file.tls-creds=tls{host}', 'out.img', status=status)


def test_certificates():
    data = image()
    world()
    with Server(NBD, '-t', '-e', '0', '-x', 'ex', *creds('server', 'server'), '--tls-creds=tls', '-f', 'raw', 'r.img') as s:
        convert(s, 'client')
        with open('out.img', 'rb') as f:
            equal('data', f.read(), data)
        for args, want in [
            (('client', 'elsewhere.example', 1), 'Certificate does not match the hostname elsewhere.example'),
            (('wrong', 'disk.example', 1), "The certificate hasn't got a known issuer"),
            (('none', 'disk.example', 1), ''),
            (('client', None, 1), 'No hostname for certificate validation'),
        ]:
            p = convert(s, *args)
            assert p.stderr.startswith('rhea-img: Could not open') and want in p.stderr, (args, p.stderr)
        p = run(IMG, 'info', s.uri('ex'), status=1)
        equal('no TLS', p.stderr.splitlines()[1], 'Did you forget a valid tls-creds?')
        assert 'requires TLS' in p.stderr, p.stderr
        c = Client(s.path)
        c.greet()
        for opt in (OPT_LIST, OPT_GO, OPT_INFO, OPT_STRUCTURED, OPT_LIST_META, 99):
            equal('before TLS', c.option(opt, b'')[0][0], ERR | 5)
        c.s.sendall(b'IHAVEOPT' + bytes([0, 0, 0, 1, 0, 0, 0, 2]) + b'ex')
        assert c.at_end()
        c = Client(s.path)
        c.greet()
        equal('start', c.option(OPT_STARTTLS), [(1, b'')])
        c.s.sendall(b'no TLS at all, but a lot of other bytes' * 100)
        try:
            while c.s.recv(4096):       # an alert may come before the end
                pass
        except ConnectionResetError:
            pass
        c.close()
        p = run(NBD, '-L', '-k', s.path, *creds('client', 'client'), '--tls-creds=tls', '--tls-hostname=disk.example')
        assert "export: 'ex'" in p.stdout, p.stdout
        p = run(NBD, '-L', '-k', s.path, status=1)
        assert 'requires TLS' in p.stderr, p.stderr
        convert(s, 'client')            # after all of that it still serves


def test_names():
    """verify-peer=off, authz-simple, authz-list."""
    image()
    world()
    with Server(NBD, '-t', '-e', '0', '-x', 'ex', *creds('server', 'server', ',verify-peer=off'), '--tls-creds=tls', '-f', 'raw', 'r.img') as s:
        convert(s, 'none')
        convert(s, 'client')
        convert(s, 'wrong', status=1)
        convert(s, 'wrong', more=',verify-peer=off')
    for authz in ('authz-simple,id=who,identity=CN=guest.example,,O=Tests',
                  'authz-list,id=who,policy=deny,rules.0.match=CN=guest.*,rules.0.policy=allow,rules.0.format=glob',
                  '{"qom-type": "authz-list", "id": "who", "policy": "allow", "rules": [{"match": "CN=stranger.example,O=Tests", "policy": "deny"}]}'):
        with Server(NBD, '-t', '-e', '0', '-x', 'ex', *creds('server', 'server'), '--object', authz, '--tls-creds=tls', '--tls-authz=who', '-f', 'raw', 'r.img') as s:
            convert(s, 'client')
            convert(s, 'client2', status=1)


def test_keys_and_nobody():
    data = image()
    for folder, key in (('keys', 'a1' * 32), ('bad', 'b2' * 32)):
        os.makedirs(folder)
        with open(f'{folder}/keys.psk', 'w') as f:
            f.write(f'guest:{key}\nqemu:{key[2:]}00\n')
    psk = lambda folder, end, more='': ['--object', f'tls-creds-psk,id=tls,endpoint={end},dir={os.path.abspath(folder)}{more}']
    opts = lambda s: f'driver=raw,file.driver=nbd,file.path={s.path},file.tls-creds=tls'
    with Server(NBD, '-t', '-e', '0', *psk('keys', 'server'), '--tls-creds=tls', '-f', 'raw', 'r.img') as s:
        run(IMG, 'convert', *psk('keys', 'client', ',username=guest'), '--image-opts', '-O', 'raw', opts(s), 'out.img')
        with open('out.img', 'rb') as f:
            equal('data', f.read(), data)
        run(IMG, 'convert', *psk('keys', 'client'), '--image-opts', '-O', 'raw', opts(s), 'out.img')
        p = run(IMG, 'convert', *psk('bad', 'client', ',username=guest'), '--image-opts', '-O', 'raw', opts(s), 'out.img', status=1)
        assert 'TLS handshake failed' in p.stderr, p.stderr
        p = run(IMG, 'info', *psk('keys', 'client', ',username=stranger'), 'r.img', status=1)
        assert 'Username stranger not found in PSK file' in p.stderr, p.stderr
    anon = lambda end: ['--object', f'tls-creds-anon,id=tls,endpoint={end}']
    with Server(NBD, '-t', '-e', '0', *anon('server'), '--tls-creds=tls', '-f', 'raw', 'r.img') as s:
        run(IMG, 'convert', *anon('client'), '--image-opts', '-O', 'raw', opts(s), 'out.img')
        with open('out.img', 'rb') as f:
            equal('data', f.read(), data)


def test_messages():
    image()
    world()
    certificate('ca', 'old', 'client', 'old.example', 'clientAuth', days=0)
    certificate('ca', 'mixed', 'server', 'x.example', 'serverAuth')
    certificate('other-ca', 'alien', 'server', 'x.example', 'serverAuth')
    with open('ca/ca-cert.pem') as f, open('alien/ca-cert.pem', 'w') as g:
        g.write(f.read())
    os.rename('mixed/server-cert.pem', 'mixed/client-cert.pem')
    os.rename('mixed/server-key.pem', 'mixed/client-key.pem')
    here = os.getcwd()
    for obj, want in [
        (f'tls-creds-x509,id=t,dir={here}/gone', f'Unable to access credentials {here}/gone/ca-cert.pem: No such file or directory'),
        ('tls-creds-x509,id=t', "Missing 'dir' property value"),
        (f'tls-creds-x509,id=t,endpoint=server,dir={here}/client', f'Unable to access credentials {here}/client/server-cert.pem: No such file or directory'),
        (f'tls-creds-x509,id=t,endpoint=client,dir={here}/mixed', f'Certificate {here}/mixed/client-cert.pem purpose does not allow use with a TLS client'),
        (f'tls-creds-x509,id=t,endpoint=server,dir={here}/alien', f"Our own certificate {here}/alien/server-cert.pem failed validation against {here}/alien/ca-cert.pem: The certificate hasn't got a known issuer"),
        (f'tls-creds-x509,id=t,dir={here}/client,priority=NONSENSE', "Unable to set TLS session priority 'NONSENSE': not understood from 'NONSENSE' on"),
        (f'tls-creds-x509,id=t,dir={here}/client,passwordid=p', "No secret with id 'p'"),
        ('secret,id=s', "Either 'file' or 'data' must be provided"),
        ('secret,id=s,data=a,file=b', "'file' and 'data' are mutually exclusive"),
        ('secret,id=s,data=!!,format=base64', "the secret's data is not base64"),
        ('secret,id=s,data=AAAA,format=base64,keyid=k', "No secret with id 'k'"),
        ('authz-simple,id=a', "Parameter 'identity' is missing"),
        ('authz-pam,id=a', 'not available in this build: PAM is not asked; use authz-list'),
    ]:
        p = run(NBD, '--object', obj, 'r.img', status=1)
        assert want in p.stderr, (obj, p.stderr)
    p = run(NBD, *creds('client', 'client'), '--tls-creds=tls', '-k', here + '/s', '-f', 'raw', 'r.img', status=1)
    assert 'Expected TLS credentials for a server endpoint' in p.stderr, p.stderr


def test_encrypted_key():
    """A key with a password that is a secret, itself encrypted under another secret."""
    image()
    world()
    run('openssl', 'pkcs8', '-topk8', '-in', 'server/server-key.pem', '-out', 'enc.pem', '-passout', 'pass:open sesame')
    os.rename('enc.pem', 'server/server-key.pem')
    key, iv = '11' * 32, '22' * 16
    sealed = subprocess.run(['openssl', 'enc', '-aes-256-cbc', '-K', key, '-iv', iv, '-a', '-A'], input=b'open sesame', capture_output=True, check=True).stdout.decode().strip()
    import base64
    b64 = lambda h: base64.b64encode(bytes.fromhex(h)).decode()
    for obj in (['secret,id=pw,data=open sesame'], [f'secret,id=master,format=base64,data={b64(key)}', f'secret,id=pw,data={sealed},format=base64,keyid=master,iv={b64(iv)}']):
        objects = [x for o in obj for x in ('--object', o)]
        with Server(NBD, '-t', '-x', 'ex', *objects, *creds('server', 'server', ',passwordid=pw'), '--tls-creds=tls', '-f', 'raw', 'r.img') as s:
            convert(s, 'client')
    run(NBD, *creds('server', 'server'), '--tls-creds=tls', '-f', 'raw', 'r.img', status=1)


def test_with_others():
    need('qemu-nbd', 'qemu-img', 'nbdinfo', 'nbdcopy', 'nbdkit')
    data = image()
    world()
    here = os.getcwd()
    with Server(NBD, '-t', '-e', '0', '-x', 'ex', *creds('server', 'server'), '--tls-creds=tls', '-f', 'raw', 'r.img') as s:
        uri = f'nbds+unix:///ex?socket={s.path}&tls-certificates={here}/client'
        opts = f'driver=nbd,path={s.path},export=ex,tls-creds=tls,tls-hostname=disk.example'
        if b'tls-hostname' in open(shutil.which('qemu-img'), 'rb').read():      # 7.2 checks no name of a unix socket's server, and so refuses it
            run('qemu-img', 'convert', *creds('client', 'client'), '--image-opts', '-O', 'raw', 'driver=raw,file.' + opts.replace(',', ',file.'), 'out.img')
        else:
            run('qemu-img', 'convert', *creds('client', 'client', ',verify-peer=off'), '--image-opts', '-O', 'raw', 'driver=raw,file.' + opts.replace(',', ',file.').replace(',file.tls-hostname=disk.example', ''), 'out.img')
        with open('out.img', 'rb') as f:
            equal('qemu-img', f.read(), data)
        p = run('nbdinfo', '--size', uri + '&tls-verify-peer=false')
        equal('nbdinfo', p.stdout, f'{2 * MiB}\n')
        run('nbdcopy', uri + '&tls-verify-peer=false', 'out2.img')
        with open('out2.img', 'rb') as f:
            equal('nbdcopy', f.read(), data)
    with Server('qemu-nbd', '-t', '-e', '0', '-x', 'ex', *creds('server', 'server'), '--tls-creds=tls', '-f', 'raw', 'r.img') as s:
        convert(s, 'client')
        convert(s, 'wrong', status=1)
        with open('out.img', 'rb') as f:
            equal('from qemu-nbd', f.read(), data)
    script = f'{IMG} convert {" ".join(creds("client", "client"))} --image-opts -O raw driver=raw,file.driver=nbd,file.path=$unixsocket,file.tls-creds=tls,file.tls-hostname=disk.example out.img'
    run('nbdkit', '-U', '-', '--tls=require', f'--tls-certificates={here}/server', '--tls-verify-peer', 'file', 'r.img', '--run', script)
    with open('out.img', 'rb') as f:
        equal('from nbdkit', f.read(), data)


main(sys.argv[3:], globals())
