// A private certificate authority, by OpenSSL.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { call } from './programs.ts';

export type Issued = { certificate: string; key: string };

export class Authority {
  readonly folder: string;
  readonly certificate: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.certificate = join(folder, 'ca.pem');
  }

  static async make(folder: string): Promise<Authority> {
    const authority = new Authority(folder);
    await call('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
      '-subj', '/CN=An authority of our own', '-keyout', join(folder, 'ca.key'), '-out', authority.certificate,
      '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
    ]);
    return authority;
  }

  /** A certificate for this machine's own name and address. */
  async issue(name: string): Promise<Issued> {
    const at = (end: string) => join(this.folder, `${name}.${end}`);
    await writeFile(
      at('ext'),
      'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' +
        'extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n',
    );
    await call('openssl', [
      'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
      '-subj', `/CN=${name}`, '-keyout', at('key'), '-out', at('csr'),
    ]);
    await call('openssl', [
      'x509', '-req', '-in', at('csr'), '-CA', this.certificate, '-CAkey', join(this.folder, 'ca.key'),
      '-CAcreateserial', '-days', '30', '-extfile', at('ext'), '-out', at('pem'),
    ]);
    return { certificate: at('pem'), key: at('key') };
  }
}
