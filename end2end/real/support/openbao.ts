// OpenBao with TLS, storage by raft, a namespace, an AppRole and a token role: as it is run for real.
import { writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Authority } from './authority.ts';
import { type Stack, call, eventually, freePort, fromPypi, listening, run } from './programs.ts';

const bao = fromPypi('bao');

export type OpenBao = {
  address: string;
  namespace: string;
  version: string;
  roleId: string;
  secretId: string;
  /** Runs the command line in the namespace, as the root token may. */
  admin: (...args: string[]) => Promise<string>;
  /** The status with which the vault answers this token's look at itself, and what it says. */
  lookUp: (token: string) => Promise<{ status: number; data: Record<string, unknown> }>;
};

const rights = `
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "auth/token/create/keyturn" { capabilities = ["update"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/renew-accessor" { capabilities = ["update"] }
path "auth/token/roles/keyturn" { capabilities = ["read"] }
`;

export async function openBao(stack: Stack, authority: Authority): Promise<OpenBao> {
  const folder = await stack.folder('bao-');
  const { certificate, key } = await authority.issue('openbao');
  const [port, cluster] = [await freePort(), await freePort()];
  const address = `https://127.0.0.1:${port}`;
  await mkdir(join(folder, 'raft'));
  await writeFile(
    join(folder, 'config.hcl'),
    `storage "raft" {\n  path = "${folder}/raft"\n  node_id = "one"\n}\n` +
      `listener "tcp" {\n  address = "127.0.0.1:${port}"\n  tls_cert_file = "${certificate}"\n  tls_key_file = "${key}"\n}\n` +
      `api_addr = "${address}"\ncluster_addr = "https://127.0.0.1:${cluster}"\n`,
  );
  const log = join(folder, 'log');
  const server = run(stack, bao, ['server', `-config=${folder}/config.hcl`], { log });
  await listening(port, server, log);
  const env = { BAO_ADDR: address, BAO_CACERT: authority.certificate, HOME: folder };
  const begun = JSON.parse(await call(bao, ['operator', 'init', '-key-shares=1', '-key-threshold=1', '-format=json'], env));
  await call(bao, ['operator', 'unseal', begun.unseal_keys_b64[0]], env);
  const asRoot = { ...env, BAO_TOKEN: begun.root_token };
  const namespace = 'customers';
  // The one node of a raft elects itself a moment after it is unsealed.
  await eventually('a leader', () =>
    call(bao, ['namespace', 'create', namespace], asRoot).then(() => true, () => undefined),
  );
  const inside = { ...asRoot, BAO_NAMESPACE: namespace };
  const admin = (...args: string[]) => call(bao, args, inside);
  const policy = async (name: string, text: string) => {
    const file = join(folder, `${name}.hcl`);
    await writeFile(file, text);
    await admin('policy', 'write', name, file);
  };
  await policy('keyturn', rights);
  await policy('claims-import', 'path "secret/data/claims/*" { capabilities = ["read"] }\n');
  await admin('write', 'auth/token/roles/keyturn', 'orphan=true', 'renewable=true', 'allowed_policies=default,claims-import');
  await admin('auth', 'enable', 'approle');
  await admin('write', 'auth/approle/role/keyturn', 'token_policies=keyturn', 'token_ttl=20m');
  const roleId = (await admin('read', '-field=role_id', 'auth/approle/role/keyturn/role-id')).trim();
  const secretId = (await admin('write', '-f', '-field=secret_id', 'auth/approle/role/keyturn/secret-id')).trim();
  const version = /v([\d.]+)/.exec(await call(bao, ['version']))![1];
  const lookUp = async (token: string) => {
    const asked = ['-sS', '--cacert', authority.certificate, '-w', '\n%{http_code}', '-H', `X-Vault-Namespace: ${namespace}`];
    const out = await call('curl', [...asked, '-K', '-', `${address}/v1/auth/token/lookup-self`], {}, `header = "X-Vault-Token: ${token}"\n`);
    const [body, status] = [out.slice(0, out.lastIndexOf('\n')), Number(out.slice(out.lastIndexOf('\n') + 1))];
    return { status, data: JSON.parse(body).data ?? {} };
  };
  return { address, namespace, version, roleId, secretId, admin, lookUp };
}
