"""OpenPGP libraries of PyPI as programs of their own, for the tests: make keys, and open messages.

  python libraries.py LIBRARY make KIND USER   prints {version, public, secret}
  python libraries.py LIBRARY open             reads {secret, signer, message}, prints {text, signed}
"""
import importlib.metadata
import json
import sys
import warnings

warnings.simplefilter("ignore")


class PGPy:
    package = "PGPy"

    @staticmethod
    def make(kind, user):
        import pgpy
        from pgpy.constants import (CompressionAlgorithm, EllipticCurveOID as Curve, HashAlgorithm,
                                    KeyFlags, PubKeyAlgorithm as Algorithm, SymmetricKeyAlgorithm)
        nist = {"p256": Curve.NIST_P256, "p384": Curve.NIST_P384, "p521": Curve.NIST_P521}
        if kind in nist:
            primary, subkey = (Algorithm.ECDSA, nist[kind]), (Algorithm.ECDH, nist[kind])
        elif kind == "ed25519":
            primary, subkey = (Algorithm.EdDSA, Curve.Ed25519), (Algorithm.ECDH, Curve.Curve25519)
        else:
            primary = subkey = (Algorithm.RSAEncryptOrSign, int(kind.removeprefix("rsa").removesuffix("-one")))
        to_encrypt = {KeyFlags.EncryptCommunications, KeyFlags.EncryptStorage}
        key = pgpy.PGPKey.new(*primary)
        one = kind.endswith("-one")
        key.add_uid(pgpy.PGPUID.new(user, email="o@customer.example"),
                    usage={KeyFlags.Certify, KeyFlags.Sign} | (to_encrypt if one else set()),
                    hashes=[HashAlgorithm.SHA256], ciphers=[SymmetricKeyAlgorithm.AES256],
                    compression=[CompressionAlgorithm.Uncompressed])
        if not one:
            key.add_subkey(pgpy.PGPKey.new(*subkey), usage=to_encrypt)
        return str(key.pubkey), str(key)

    @staticmethod
    def open(secret, signer, message):
        import pgpy
        key, _ = pgpy.PGPKey.from_blob(secret)
        signer, _ = pgpy.PGPKey.from_blob(signer)
        opened = key.decrypt(pgpy.PGPMessage.from_blob(message))
        text = opened.message
        text = text if isinstance(text, str) else bytes(text).decode()
        return text, bool(signer.verify(opened))


class Sequoia:
    package = "pysequoia"

    @staticmethod
    def make(kind, user):
        import pysequoia
        profile = {"rfc4880": pysequoia.Profile.RFC4880, "rfc9580": pysequoia.Profile.RFC9580}[kind]
        cert = pysequoia.Cert.generate(user_id=f"{user} <o@customer.example>", profile=profile)
        return str(cert), str(cert.secrets)

    @staticmethod
    def open(secret, signer, message):
        import pysequoia
        cert = pysequoia.Cert.from_bytes(secret.encode())
        signer = pysequoia.Cert.from_bytes(signer.encode())
        opened = pysequoia.decrypt(decryptor=cert.secrets.decryptor(), bytes=message.encode(),
                                   store=lambda ids: [signer])
        by = [signature.certificate.upper() for signature in opened.valid_sigs]
        return opened.bytes.decode(), by == [signer.fingerprint.upper()]


class Johnny:
    package = "johnnycanencrypt"

    @staticmethod
    def make(kind, user):
        import johnnycanencrypt.johnnycanencrypt as rjce
        public, secret, *_ = rjce.create_key("", [f"{user} <o@customer.example>"], kind, 0, 0, True, 7, True, True)
        return public, secret

    @staticmethod
    def open(secret, signer, message):
        import johnnycanencrypt.johnnycanencrypt as rjce
        text = rjce.Johnny(secret.encode()).decrypt_bytes(message.encode(), "")
        # It checks no signature of what it decrypts.
        return bytes(text).decode(), None


def main():
    library = {"PGPy": PGPy, "pysequoia": Sequoia, "johnnycanencrypt": Johnny}[sys.argv[1]]
    version = importlib.metadata.version(library.package)
    if sys.argv[2] == "make":
        public, secret = library.make(*sys.argv[3:])
        print(json.dumps({"version": version, "public": public, "secret": secret}))
    else:
        text, signed = library.open(**json.load(sys.stdin))
        print(json.dumps({"version": version, "text": text, "signed": signed}))


main()
