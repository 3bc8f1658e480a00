//! The names of the actions that rows of the audit logs record. They are in every proof that was
//! ever made, so a name is never changed; a new meaning gets a new name.

/// A staff account was added, from the command line.
pub const PLATFORM_STAFF_ADDED: &str = "platform.staff_added";
/// A staff account was disabled, from the command line.
pub const PLATFORM_STAFF_DISABLED: &str = "platform.staff_disabled";
/// Platform log: an auditor's programs got a credential, from the command line.
pub const PLATFORM_AUDITOR_CREDENTIAL_ISSUED: &str = "platform.auditor_credential_issued";
/// Platform log: the credentials of an auditor's programs were revoked, from the command line.
pub const PLATFORM_AUDITOR_CREDENTIALS_REVOKED: &str = "platform.auditor_credentials_revoked";
/// Platform log: an impersonation began.
pub const PLATFORM_IMPERSONATION_STARTED: &str = "platform.impersonation_started";
/// Platform log: an impersonation ended.
pub const PLATFORM_IMPERSONATION_ENDED: &str = "platform.impersonation_ended";
/// Platform log: a new secret was handed off to the Owner of record.
pub const PLATFORM_SECRET_HANDED_OFF: &str = "platform.secret_handed_off";
/// Platform log: a new secret has reached its channel. It is in the vault that is shared with the
/// customer, or the mail server has taken the mail that carries it.
pub const PLATFORM_SECRET_DELIVERED: &str = "platform.secret_delivered";
/// Platform log: an impersonation was asked for and refused.
pub const PLATFORM_IMPERSONATION_REFUSED: &str = "platform.impersonation_refused";
/// Platform log: a rotation was asked for and refused.
pub const PLATFORM_ROTATION_REFUSED: &str = "platform.rotation_refused";
/// Platform log: the Owner was asked to allow impersonation again.
pub const PLATFORM_CONSENT_REQUESTED: &str = "platform.consent_requested";
/// Platform log: the Owner was marked unreachable.
pub const PLATFORM_OWNER_MARKED_UNREACHABLE: &str = "platform.owner_marked_unreachable";
/// Platform log: a case went to Legal.
pub const PLATFORM_ESCALATED_TO_LEGAL: &str = "platform.escalated_to_legal";
/// Platform log: a staff member signed in.
pub const PLATFORM_SIGNED_IN: &str = "platform.signed_in";
/// Platform log: a sign-in failed.
pub const PLATFORM_SIGN_IN_FAILED: &str = "platform.sign_in_failed";
/// Platform log: sign-ins that had to wait, of one source and one minute.
pub const PLATFORM_SIGN_INS_THROTTLED: &str = "platform.sign_ins_throttled";
/// Platform log: credentials that are none, of one source and one minute.
pub const PLATFORM_CREDENTIALS_REFUSED: &str = "platform.credentials_refused";
/// Platform log: a staff member signed out.
pub const PLATFORM_SIGNED_OUT: &str = "platform.signed_out";
/// Platform log: a staff member proved again who they are.
pub const PLATFORM_STEPPED_UP: &str = "platform.stepped_up";
/// Platform log: an audit page was looked at.
pub const PLATFORM_AUDIT_VIEWED: &str = "platform.audit_viewed";
/// Platform log: audit rows were exported.
pub const PLATFORM_AUDIT_EXPORTED: &str = "platform.audit_exported";
/// Platform log: another key signs the logs from now on.
pub const PLATFORM_LOG_KEY_ROTATED: &str = "platform.log_key_rotated";
/// Platform log: all logs were verified, row by row.
pub const PLATFORM_LOGS_VERIFIED: &str = "platform.logs_verified";
/// Platform log: a handoff, or the notice of it, will not be taken by its channel as it is.
pub const PLATFORM_HANDOFF_UNDELIVERED: &str = "platform.handoff_undelivered";
/// Platform log: a mail that carries no handoff will not be taken as it is.
pub const PLATFORM_MAIL_UNDELIVERED: &str = "platform.mail_undelivered";
/// Platform log: a reply will not be taken by the ticket system outside.
pub const PLATFORM_REPLY_UNDELIVERED: &str = "platform.reply_undelivered";
/// Platform log: a mail or a reply that was not taken goes once more.
pub const PLATFORM_MAIL_SENT_AGAIN: &str = "platform.mail_sent_again";
/// Platform log: somebody decided that a mail or a reply that was not taken need not be.
pub const PLATFORM_MAIL_SET_ASIDE: &str = "platform.mail_set_aside";
/// Platform log: a handoff was acknowledged.
pub const PLATFORM_HANDOFF_ACKNOWLEDGED: &str = "platform.handoff_acknowledged";
/// Platform log: a handoff that was not acknowledged was sent again.
pub const PLATFORM_HANDOFF_SENT_AGAIN: &str = "platform.handoff_sent_again";
/// Platform log: a test event was sent to a customer's endpoint.
pub const PLATFORM_TEST_EVENT_SENT: &str = "platform.test_event_sent";
/// Platform log: a reply was posted to a ticket.
pub const PLATFORM_REPLY_POSTED: &str = "platform.reply_posted";
/// Platform log: a program filed a ticket.
pub const PLATFORM_TICKET_FILED: &str = "platform.ticket_filed";
/// Platform log: a program added a message to a ticket.
pub const PLATFORM_TICKET_MESSAGE_RECEIVED: &str = "platform.ticket_message_received";
/// Platform log: what a program sent for a ticket was refused, as it looked like a secret.
pub const PLATFORM_TICKET_MESSAGE_REFUSED: &str = "platform.ticket_message_refused";
/// Platform log: the ticket system outside told something new of a ticket.
pub const PLATFORM_TICKET_FETCHED: &str = "platform.ticket_fetched";
/// Platform log: a reply to a ticket was refused, as it looked like a secret.
pub const PLATFORM_REPLY_REFUSED: &str = "platform.reply_refused";

/// Platform log: another key for the Owner was asked for. It is not used yet.
pub const PLATFORM_OWNER_KEY_CHANGE_ASKED: &str = "platform.owner_key_change_asked";
/// Platform log: a change of the Owner's key was cancelled.
pub const PLATFORM_OWNER_KEY_CHANGE_CANCELLED: &str = "platform.owner_key_change_cancelled";
/// Platform log: the Owner objected to a change of their key.
pub const PLATFORM_OWNER_KEY_CHANGE_OBJECTED: &str = "platform.owner_key_change_objected";
/// Platform log: the Owner agreed to a change of their key.
pub const PLATFORM_OWNER_KEY_CHANGE_AGREED: &str = "platform.owner_key_change_agreed";
/// Platform log: another admin than the one who asked approved a change of the Owner's key.
pub const PLATFORM_OWNER_KEY_CHANGE_APPROVED: &str = "platform.owner_key_change_approved";
/// Platform log: another key for the Owner is the one used.
pub const PLATFORM_OWNER_KEY_CHANGED: &str = "platform.owner_key_changed";
/// Platform log: what the Owner's key on file says of itself was renewed.
pub const PLATFORM_OWNER_KEY_RENEWED: &str = "platform.owner_key_renewed";

/// Platform log: another address, Owner of record or channel was asked for. It is not used yet.
pub const PLATFORM_OWNER_RECORD_CHANGE_ASKED: &str = "platform.owner_record_change_asked";
/// Platform log: the Owner agreed to a change of what is on record of them.
pub const PLATFORM_OWNER_RECORD_CHANGE_AGREED: &str = "platform.owner_record_change_agreed";
/// Platform log: an admin approved a change of what is on record of the Owner.
pub const PLATFORM_OWNER_RECORD_CHANGE_APPROVED: &str = "platform.owner_record_change_approved";
/// Platform log: a change of what is on record of the Owner was cancelled.
pub const PLATFORM_OWNER_RECORD_CHANGE_CANCELLED: &str = "platform.owner_record_change_cancelled";
/// Platform log: the Owner objected to a change of what is on record of them.
pub const PLATFORM_OWNER_RECORD_CHANGE_OBJECTED: &str = "platform.owner_record_change_objected";
/// Platform log: another address, Owner of record or channel is the one used.
pub const PLATFORM_OWNER_RECORD_CHANGED: &str = "platform.owner_record_changed";
/// Org log: another address, Owner of record or channel was asked for. It is not used yet.
pub const OWNER_RECORD_CHANGE_ASKED: &str = "owner_record.change_asked";
/// Org log: the Owner agreed to a change of what is on record of them.
pub const OWNER_RECORD_CHANGE_AGREED: &str = "owner_record.change_agreed";
/// Org log: an admin approved a change of what is on record of the Owner.
pub const OWNER_RECORD_CHANGE_APPROVED: &str = "owner_record.change_approved";
/// Org log: a change of what is on record of the Owner was cancelled.
pub const OWNER_RECORD_CHANGE_CANCELLED: &str = "owner_record.change_cancelled";
/// Org log: the Owner objected to a change of what is on record of them.
pub const OWNER_RECORD_CHANGE_OBJECTED: &str = "owner_record.change_objected";
/// Org log: another address, Owner of record or channel is the one used.
pub const OWNER_RECORD_CHANGED: &str = "owner_record.changed";

/// Platform log: a step about a handoff was asked for and refused.
pub const PLATFORM_HANDOFF_REFUSED: &str = "platform.handoff_refused";
/// Platform log: somebody of staff took a copy of a handoff's ciphertext.
pub const PLATFORM_HANDOFF_DOWNLOADED: &str = "platform.handoff_downloaded";
/// Org log: somebody of the platform's staff took a copy of a handoff's ciphertext.
pub const HANDOFF_DOWNLOADED: &str = "handoff.downloaded";

/// Platform log: something of an org was brought in, from the command line.
pub const PLATFORM_ORG_IMPORTED: &str = "platform.org_imported";
/// Platform log: a member of an org got a credential, from the command line.
pub const PLATFORM_ORG_CREDENTIAL_ISSUED: &str = "platform.org_credential_issued";

/// Platform log: a credential of an org's member was revoked.
pub const PLATFORM_ORG_CREDENTIAL_REVOKED: &str = "platform.org_credential_revoked";
/// Org log: a credential of a member of this org was revoked.
pub const ORG_CREDENTIAL_REVOKED: &str = "org.credential_revoked";

/// Org log: what is on record of this org, as it is now.
pub const ORG_RECORDED: &str = "org.recorded";
/// Org log: the Owner was marked unreachable.
pub const OWNER_MARKED_UNREACHABLE: &str = "owner.marked_unreachable";
/// Org log: something of this org was brought in by the platform.
pub const ORG_IMPORTED: &str = "org.imported";
/// Org log: a member of this org got a credential from the platform.
pub const ORG_CREDENTIAL_ISSUED: &str = "org.credential_issued";
/// Org log: an impersonation in this org began.
pub const IMPERSONATION_STARTED: &str = "impersonation.started";
/// Org log: an impersonation in this org ended.
pub const IMPERSONATION_ENDED: &str = "impersonation.ended";
/// Org log: the Owner allowed impersonation.
pub const CONSENT_ENABLED: &str = "consent.enabled";
/// Org log: the Owner withdrew the consent to impersonation.
pub const CONSENT_DISABLED: &str = "consent.disabled";
/// Both logs: the Owner is asked whether a consent of a year ago still stands.
pub const CONSENT_REMINDED: &str = "consent.reminded";
/// Both logs: the Owner said that it does.
pub const CONSENT_CONFIRMED: &str = "consent.confirmed";
/// Org log: a sealed secret was given to its channel, which has yet to take it.
pub const HANDOFF_QUEUED: &str = "handoff.queued";
/// Org log: a sealed secret was given to its channel. Rows of before [`HANDOFF_QUEUED`] say it so,
/// whether the channel had taken it or not.
pub const HANDOFF_SENT: &str = "handoff.sent";
/// Org log: a handoff that was not acknowledged was sent again.
pub const HANDOFF_SENT_AGAIN: &str = "handoff.sent_again";
/// Org log: a handoff, or the notice of it, will not be taken by its channel as it is.
pub const HANDOFF_UNDELIVERED: &str = "handoff.undelivered";
/// Org log: a new secret has reached its channel. It is in the shared vault, or the mail server
/// has taken the mail that carries it.
pub const HANDOFF_DELIVERED: &str = "handoff.delivered";
/// Org log: the Owner acknowledged a handoff.
pub const HANDOFF_ACKNOWLEDGED: &str = "handoff.acknowledged";
/// Org log: a test event was sent to a webhook endpoint.
pub const WEBHOOK_TEST_EVENT_SENT: &str = "webhook.test_event_sent";
/// Org log: an old webhook key stopped being valid.
pub const WEBHOOK_OVERLAP_ENDED: &str = "webhook.overlap_ended";

/// Org log: a vault token that was replaced is revoked.
pub const VAULT_TOKEN_OLD_REVOKED: &str = "vault_token.old_revoked";
/// Platform log: a vault token that was replaced under an impersonation is revoked.
pub const PLATFORM_VAULT_TOKEN_OLD_REVOKED: &str = "platform.vault_token_old_revoked";
/// Org log: a new vault token ended in the vault before its Owner acknowledged it.
pub const VAULT_TOKEN_EXPIRED_UNREAD: &str = "vault_token.expired_unread";
/// Platform log: a new vault token ended in the vault before its Owner acknowledged it.
pub const PLATFORM_VAULT_TOKEN_EXPIRED_UNREAD: &str = "platform.vault_token_expired_unread";
/// Org log: the platform asked for another key for the Owner. It is not used yet.
pub const OWNER_KEY_CHANGE_ASKED: &str = "owner_key.change_asked";
/// Org log: a change of the Owner's key was cancelled.
pub const OWNER_KEY_CHANGE_CANCELLED: &str = "owner_key.change_cancelled";
/// Org log: the Owner objected to a change of their key.
pub const OWNER_KEY_CHANGE_OBJECTED: &str = "owner_key.change_objected";
/// Org log: the Owner agreed to a change of their key.
pub const OWNER_KEY_CHANGE_AGREED: &str = "owner_key.change_agreed";
/// Org log: another admin than the one who asked approved a change of the Owner's key.
pub const OWNER_KEY_CHANGE_APPROVED: &str = "owner_key.change_approved";
/// Org log: another key for the Owner is the one used.
pub const OWNER_KEY_CHANGED: &str = "owner_key.changed";
/// Org log: what the Owner's key on file says of itself was renewed.
pub const OWNER_KEY_RENEWED: &str = "owner_key.renewed";
/// Platform log: the deployment's certificate authority was made.
pub const PLATFORM_CERTIFICATE_AUTHORITY_MADE: &str = "platform.certificate_authority_made";
/// Platform log: the operator's own certificate authority was put in.
pub const PLATFORM_CERTIFICATE_AUTHORITY_IMPORTED: &str = "platform.certificate_authority_imported";
/// Org log: a gateway that was told to has re-enrolled; its old certificate was revoked.
pub const MTLS_CERTIFICATE_REENROLLED: &str = "mtls_certificate.reenrolled";
/// Org log: a gateway came back with the certificate of a handoff; its old one was revoked.
pub const MTLS_CERTIFICATE_CONNECTED: &str = "mtls_certificate.connected";
/// Org log: a gateway's request for a certificate was refused.
pub const MTLS_CERTIFICATE_REQUEST_REFUSED: &str = "mtls_certificate.request_refused";

/// The name of a detail: the row of the org's log that a decision rests on, from 0.
pub const RECORD_ROW: &str = "record_row";

/// The secret type of a key that signs webhook messages.
pub const WEBHOOK_SIGNING_KEY: &str = "webhook_signing_key";
/// The secret type of a token of the vault.
pub const VAULT_TOKEN: &str = "vault_token";
/// The secret type of a gateway's client certificate.
pub const MTLS_CERTIFICATE: &str = "mtls_certificate";

/// All secret types.
pub const SECRET_TYPES: [&str; 3] = [WEBHOOK_SIGNING_KEY, VAULT_TOKEN, MTLS_CERTIFICATE];

const ROTATED: &str = ".rotated";
const ROTATION_FAILED: &str = ".rotation_failed";

/// Org log: a secret of this type was replaced, as `vault_token.rotated`.
pub fn rotated(secret_type: &str) -> String {
    format!("{secret_type}{ROTATED}")
}

/// Org log: replacing a secret of this type failed, as `vault_token.rotation_failed`.
pub fn rotation_failed(secret_type: &str) -> String {
    format!("{secret_type}{ROTATION_FAILED}")
}

/// The secret type of an action that [`rotated`] gives, or nothing for any other action.
pub fn rotated_type(action: &str) -> Option<&str> {
    action.strip_suffix(ROTATED)
}

/// What one step writes into both logs: the platform's action, and the org's.
pub const TWINS: &[(&str, &str)] = &[
    (PLATFORM_IMPERSONATION_STARTED, IMPERSONATION_STARTED),
    (PLATFORM_SECRET_HANDED_OFF, HANDOFF_QUEUED),
    (PLATFORM_SECRET_HANDED_OFF, HANDOFF_SENT),
    (PLATFORM_IMPERSONATION_ENDED, IMPERSONATION_ENDED),
    (PLATFORM_HANDOFF_SENT_AGAIN, HANDOFF_SENT_AGAIN),
    (PLATFORM_HANDOFF_ACKNOWLEDGED, HANDOFF_ACKNOWLEDGED),
    (PLATFORM_TEST_EVENT_SENT, WEBHOOK_TEST_EVENT_SENT),
    (PLATFORM_VAULT_TOKEN_OLD_REVOKED, VAULT_TOKEN_OLD_REVOKED),
    (PLATFORM_VAULT_TOKEN_EXPIRED_UNREAD, VAULT_TOKEN_EXPIRED_UNREAD),
    (CONSENT_ENABLED, CONSENT_ENABLED),
    (CONSENT_DISABLED, CONSENT_DISABLED),
    (PLATFORM_ORG_CREDENTIAL_REVOKED, ORG_CREDENTIAL_REVOKED),
    (CONSENT_REMINDED, CONSENT_REMINDED),
    (CONSENT_CONFIRMED, CONSENT_CONFIRMED),
    (PLATFORM_OWNER_KEY_CHANGE_ASKED, OWNER_KEY_CHANGE_ASKED),
    (PLATFORM_OWNER_KEY_CHANGE_CANCELLED, OWNER_KEY_CHANGE_CANCELLED),
    (PLATFORM_OWNER_KEY_CHANGE_OBJECTED, OWNER_KEY_CHANGE_OBJECTED),
    (PLATFORM_OWNER_KEY_CHANGE_AGREED, OWNER_KEY_CHANGE_AGREED),
    (PLATFORM_OWNER_KEY_CHANGE_APPROVED, OWNER_KEY_CHANGE_APPROVED),
    (PLATFORM_OWNER_KEY_CHANGED, OWNER_KEY_CHANGED),
    (PLATFORM_OWNER_RECORD_CHANGE_ASKED, OWNER_RECORD_CHANGE_ASKED),
    (PLATFORM_OWNER_RECORD_CHANGE_AGREED, OWNER_RECORD_CHANGE_AGREED),
    (PLATFORM_OWNER_RECORD_CHANGE_APPROVED, OWNER_RECORD_CHANGE_APPROVED),
    (PLATFORM_OWNER_RECORD_CHANGE_CANCELLED, OWNER_RECORD_CHANGE_CANCELLED),
    (PLATFORM_OWNER_RECORD_CHANGE_OBJECTED, OWNER_RECORD_CHANGE_OBJECTED),
    (PLATFORM_OWNER_RECORD_CHANGED, OWNER_RECORD_CHANGED),
    (PLATFORM_HANDOFF_DOWNLOADED, HANDOFF_DOWNLOADED),
    (PLATFORM_OWNER_KEY_RENEWED, OWNER_KEY_RENEWED),
    (PLATFORM_OWNER_MARKED_UNREACHABLE, OWNER_MARKED_UNREACHABLE),
    (PLATFORM_SECRET_DELIVERED, HANDOFF_DELIVERED),
    (PLATFORM_HANDOFF_UNDELIVERED, HANDOFF_UNDELIVERED),
];

/// Whether one step writes these two actions: the platform's, and the org's.
#[must_use]
pub fn twins(platform: &str, org: &str) -> bool {
    TWINS.contains(&(platform, org))
}

/// Whether a row of this action may carry an impersonation's id and still come after its end: it
/// reports what the impersonation set going, and is no use of the token. Such rows are not among
/// those that the end rows count.
pub fn may_follow_end(action: &str) -> bool {
    matches!(
        action,
        PLATFORM_HANDOFF_ACKNOWLEDGED
            | PLATFORM_HANDOFF_SENT_AGAIN
            | PLATFORM_TEST_EVENT_SENT
            | PLATFORM_REPLY_POSTED
            | PLATFORM_REPLY_REFUSED
            | PLATFORM_ROTATION_REFUSED
            | PLATFORM_AUDIT_VIEWED
            | PLATFORM_AUDIT_EXPORTED
            | HANDOFF_SENT
            | HANDOFF_SENT_AGAIN
            | HANDOFF_ACKNOWLEDGED
            | WEBHOOK_TEST_EVENT_SENT
            | WEBHOOK_OVERLAP_ENDED
    )
}

/// The name of every action that there is.
#[cfg(test)]
pub(crate) fn every() -> Vec<String> {
    let source = include_str!("actions.rs");
    let constants = source.lines().filter(|l| l.starts_with("pub const ") && l.contains("&str"));
    let mut all: Vec<String> = constants
        .filter_map(|line| line.split('"').nth(1))
        .filter(|word| word.contains('.'))
        .map(str::to_owned)
        .collect();
    assert!(all.len() > 40, "the scan of the names finds too little: {all:?}");
    all.extend(SECRET_TYPES.map(rotated));
    all.extend(SECRET_TYPES.map(rotation_failed));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotations_are_made_and_read_back() {
        for secret_type in SECRET_TYPES {
            assert_eq!(rotated_type(&rotated(secret_type)), Some(secret_type));
            assert_eq!(rotated_type(&rotation_failed(secret_type)), None);
        }
        assert_eq!(rotated(VAULT_TOKEN), "vault_token.rotated");
        assert_eq!(rotation_failed(MTLS_CERTIFICATE), "mtls_certificate.rotation_failed");
    }

    #[test]
    fn nothing_that_uses_the_token_may_follow_the_end() {
        for action in [
            PLATFORM_IMPERSONATION_STARTED,
            PLATFORM_IMPERSONATION_ENDED,
            PLATFORM_SECRET_HANDED_OFF,
            IMPERSONATION_STARTED,
            IMPERSONATION_ENDED,
            &rotated(VAULT_TOKEN),
            &rotation_failed(VAULT_TOKEN),
        ] {
            assert!(!may_follow_end(action), "{action}");
        }
    }
}
