// OpenPGP.js as a program of its own, for the tests: makes keys, and opens messages as its users do.
//   node openpgpjs.cjs PACKAGE make KIND USER   prints {version, public, secret}
//   node openpgpjs.cjs PACKAGE open             reads {secret, signer, message}, prints {text, signed}
const [, , name, what, kind, user] = process.argv;
const openpgp = require(name);
const version = openpgp.config.versionString.replace(/^[^0-9]*/, '');

const KINDS = {
  rsa2048: { type: 'rsa', rsaBits: 2048 },
  rsa3072: { type: 'rsa', rsaBits: 3072 },
  rsa4096: { type: 'rsa', rsaBits: 4096 },
  ecc: { type: 'ecc' },
  p256: { type: 'ecc', curve: /-5$/.test(name) ? 'p256' : 'nistP256' },
  p384: { type: 'ecc', curve: /-5$/.test(name) ? 'p384' : 'nistP384' },
  p521: { type: 'ecc', curve: /-5$/.test(name) ? 'p521' : 'nistP521' },
  brainpool: { type: 'ecc', curve: 'brainpoolP256r1' },
  expiring: { type: 'ecc', keyExpirationTime: 86400 * 30 },
  aead: { type: 'ecc', config: { aeadProtect: true } },
  curve25519: { type: 'curve25519' },
  curve448: { type: 'curve448' },
  v6: { type: 'curve25519', config: { v6Keys: true, aeadProtect: true } },
  'v6-448': { type: 'curve448', config: { v6Keys: true, aeadProtect: true } },
};

async function make() {
  const made = await openpgp.generateKey({ userIDs: [{ name: user, email: 'o@customer.example' }], ...KINDS[kind] });
  return { version, public: made.publicKey, secret: made.privateKey };
}

async function open() {
  const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const found = await openpgp.decrypt({
    message: await openpgp.readMessage({ armoredMessage: given.message }),
    decryptionKeys: await openpgp.readPrivateKey({ armoredKey: given.secret }),
    verificationKeys: await openpgp.readKey({ armoredKey: given.signer }),
  });
  // Throws where the signature is not good.
  for (const signature of found.signatures) await signature.verified;
  return { version, text: found.data, signed: found.signatures.length === 1 };
}

({ make, open })[what]().then(
  (done) => console.log(JSON.stringify(done)),
  (error) => { console.error(String(error)); process.exit(1); },
);
