//! What is rotated.

crate::model::words! {
    /// The kinds of secret that the procedure covers.
    SecretType("secret type") {
        /// A Standard Webhooks signing key.
        WebhookSigningKey = "webhook_signing_key" => "Webhook signing key",
        /// A token of the org's vault.
        VaultToken = "vault_token" => "Vault token",
        /// A gateway's client certificate.
        MtlsCertificate = "mtls_certificate" => "mTLS certificate",
    }
}

crate::model::words! {
    /// What one version of a secret is good for now.
    VersionState("version state") {
        /// Made, and not in use yet: whoever is to use it has not fetched it.
        Pending = "pending" => "waiting",
        /// In use.
        Live = "live" => "live",
        /// Replaced, and still accepted for the overlap.
        Retiring = "retiring" => "retiring",
        /// No longer accepted.
        Retired = "retired" => "retired",
        /// Came to nothing: it never was in use.
        Failed = "failed" => "failed",
    }
}
