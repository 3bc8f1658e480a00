//! The people and orgs that the tests tell of: one org for each branch of the procedure, with
//! the numbers that their tickets have in the demo.

use crate::audit::{LogId, create_log};
use crate::auth::credential;
use crate::desk::Desk;
use crate::model::{
    Channel, Consent, MemberRole, Micros, SecretType, StaffRole, Standing, TicketState, time,
};
use crate::secrets::sealing::{self, Binding};
use crate::secrets::vault::NewToken;
use crate::secrets::webhook_key::WebhookKey;
use crate::store::orgs::{self, Member, NewOrg};
use crate::store::secrets::{self, Secret, Version};
use crate::store::staff::{self, Staff};
use crate::store::tickets::{self, Ticket};
use crate::store::{Tx, tickets as queue};
use secrecy::ExposeSecret as _;

use super::breakable::Breakable;
use super::owners::owners;

/// A platform admin.
pub(crate) const ADA: &str = "staff-ada";
/// Another platform admin.
pub(crate) const BEN: &str = "staff-ben";
/// An auditor.
pub(crate) const CLEO: &str = "staff-cleo";

/// Eligible: Acme's webhook key is stuck.
pub(crate) const STUCK: &str = "NOV-4801";
/// Eligible: Birch's webhook key may have leaked; the Owner has an RSA key.
pub(crate) const LEAKED: &str = "NOV-4802";
/// Eligible: Acme's other webhook.
pub(crate) const STUCK_TOO: &str = "NOV-4820";

/// Each ticket that must be refused, with the one check that fails for it.
pub(crate) const INELIGIBLE: [(&str, &str); 13] = [
    ("NOV-4806", "consent"),
    ("NOV-4807", "requester_is_owner"),
    ("NOV-4808", "requester_is_owner"),
    ("NOV-4809", "owner_reachable"),
    ("NOV-4810", "requester_authenticated"),
    ("NOV-4811", "requester_is_owner"),
    ("NOV-4812", "self_service_unavailable"),
    ("NOV-4813", "handoff_possible"),
    ("NOV-4815", "ticket_open"),
    ("NOV-4816", "secret_known"),
    ("NOV-4817", "handoff_possible"),
    ("NOV-4818", "handoff_possible"),
    ("NOV-4819", "handoff_possible"),
];

/// A shared vault's id in the form that 1Password has.
const SHARED_VAULT: &str = "abcdefghijklmnopqrstuvwxy2";

/// How an org differs from one whose ticket can be served.
struct Case {
    slug: &'static str,
    consent: bool,
    channel: Option<Channel>,
    key: Option<&'static str>,
    admin: Standing,
    owner_since: Micros,
    unreachable: bool,
}

fn case(slug: &'static str) -> Case {
    Case {
        slug,
        consent: true,
        channel: Some(Channel::Pgp),
        key: Some(&owners().modern.public),
        admin: Standing::Departed,
        owner_since: owners().now - 900 * time::DAY,
        unreachable: false,
    }
}

fn cases() -> Vec<Case> {
    let keys = owners();
    vec![
        case("acme"),
        Case { key: Some(&keys.rsa.public), ..case("birch") },
        case("cedar"),
        case("dune"),
        Case { consent: false, ..case("elm") },
        Case { unreachable: true, ..case("fir") },
        Case { owner_since: keys.now - time::HOUR, ..case("gale") },
        Case { admin: Standing::Active, ..case("hazel") },
        Case { key: Some(&keys.expired.public), ..case("iris") },
        Case { key: Some(&keys.revoked.public), ..case("juno") },
        Case { key: Some(&keys.sign_only.public), ..case("kelp") },
        Case { channel: Some(Channel::OnePassword), key: None, ..case("lark") },
        Case { channel: None, key: None, ..case("moor") },
    ]
}

/// (number, org, member who asks, secret)
const TICKETS: [(&str, &str, &str, &str); 19] = [
    (STUCK, "acme", "owner", "whk_acme"),
    (LEAKED, "birch", "owner", "whk_birch"),
    ("NOV-4803", "cedar", "owner", "vtk_cedar"),
    ("NOV-4804", "dune", "owner", "gw_dune"),
    ("NOV-4806", "elm", "owner", "whk_elm"),
    ("NOV-4807", "acme", "admin", "whk_acme"),
    ("NOV-4808", "acme", "operator", "whk_acme"),
    ("NOV-4809", "fir", "owner", "whk_fir"),
    ("NOV-4810", "acme", "owner", "whk_acme"),
    ("NOV-4811", "gale", "owner", "whk_gale"),
    ("NOV-4812", "hazel", "owner", "whk_hazel"),
    ("NOV-4813", "iris", "owner", "whk_iris"),
    ("NOV-4814", "lark", "owner", "whk_lark"),
    ("NOV-4815", "acme", "owner", "whk_acme"),
    ("NOV-4816", "acme", "owner", "whk_birch"),
    ("NOV-4817", "juno", "owner", "whk_juno"),
    ("NOV-4818", "kelp", "owner", "whk_kelp"),
    ("NOV-4819", "moor", "owner", "whk_moor"),
    (STUCK_TOO, "acme", "owner", "whk_acme_2"),
];

/// The id of the org with this short name.
pub(crate) fn org_id(slug: &str) -> String {
    format!("org-{slug}")
}

/// The id of a member, as `acme-owner`.
pub(crate) fn member_id(slug: &str, role: &str) -> String {
    format!("{slug}-{role}")
}

/// Where the Owner's mail goes.
pub(crate) fn owner_address(slug: &str) -> String {
    format!("owner@{slug}.example")
}

/// The credential of a member.
pub(crate) fn credential_of(member_id: &str) -> secrecy::SecretString {
    format!("{}of-{member_id}", credential::ORG_PREFIX).into()
}

/// The type that an id tells of.
pub(crate) fn type_of(secret_id: &str) -> SecretType {
    match secret_id.split('_').next() {
        Some("vtk") => SecretType::VaultToken,
        Some("gw") => SecretType::MtlsCertificate,
        _ => SecretType::WebhookSigningKey,
    }
}

/// Cedar's token, before it is rotated.
pub(crate) fn first_token() -> NewToken {
    NewToken {
        policies: vec!["default".to_owned(), "cedar-import".to_owned()],
        period_seconds: 7 * 86_400,
        ttl_seconds: 0,
        explicit_max_ttl_seconds: 0,
        renewable: true,
        display_name: "cedar-import".to_owned(),
        ..NewToken::default()
    }
}

/// Writes the whole story into an empty database.
pub(crate) async fn write(desk: &Desk, vault: &Breakable, tx: &mut Tx) {
    let now = desk.now();
    create_log(tx.conn(), &desk.keys.log, &LogId::Platform, now).await.unwrap();
    for (id, name, role) in [
        (ADA, "Ada Admin", StaffRole::PlatformAdmin),
        (BEN, "Ben Admin", StaffRole::PlatformAdmin),
        (CLEO, "Cleo Auditor", StaffRole::Auditor),
    ] {
        let staff = Staff {
            id: id.to_owned(),
            email: format!("{id}@platform.example"),
            name: name.to_owned(),
            role,
            disabled_at: None,
        };
        staff::insert(tx.conn(), &staff, "no password fits", now).await.unwrap();
    }
    for case in cases() {
        write_org(desk, vault, tx, &case).await;
    }
    write_secret(desk, vault, tx, "acme", "whk_acme_2").await;
    for (id, slug, role, secret) in TICKETS {
        let asks = member_id(slug, role);
        let mut ticket =
            Ticket::new(id, &org_id(slug), "A secret is stuck", &asks, now - time::HOUR)
                .leaked(id == LEAKED);
        // The Owner became Owner an hour ago: at the very moment of the filing is not before it.
        ticket.requester_member = Some(asks);
        ticket.secret_type = Some(type_of(secret).to_string());
        ticket.secret_id = Some(secret.to_owned());
        if id != "NOV-4810" {
            ticket.authenticated_how = Some("signed in to support".to_owned());
            ticket.authenticated_at = Some(now - time::HOUR);
        }
        if id == "NOV-4815" {
            ticket.state = TicketState::Closed;
        }
        tickets::insert(tx.conn(), &ticket).await.unwrap();
        let message = queue::Message {
            id: format!("{id}-1"),
            ticket_id: id.to_owned(),
            author: ticket.requester_name,
            kind: "customer".to_owned(),
            body: "Please help.".to_owned(),
            at: ticket.filed_at,
            outside_id: None,
            waits: 0,
        };
        queue::insert_message(tx.conn(), &message).await.unwrap();
    }
}

async fn write_org(desk: &Desk, vault: &Breakable, tx: &mut Tx, case: &Case) {
    let (now, id) = (desk.now(), org_id(case.slug));
    let org = NewOrg {
        id: &id,
        slug: case.slug,
        name: &format!("{} Ltd", case.slug.to_uppercase()),
        consent: case.consent,
        owner_address: &owner_address(case.slug),
        channel: case.channel,
        pgp_key: case.key,
        shared_vault_id: (case.channel == Some(Channel::OnePassword)).then_some(SHARED_VAULT),
        created_at: now - 1000 * time::DAY,
    };
    orgs::insert(tx.conn(), &org).await.unwrap();
    if case.consent {
        let since = now - 100 * time::DAY;
        orgs::set_consent(tx, &id, &Consent::UntilWithdrawn, since).await.unwrap();
    }
    for (role, standing) in [
        (MemberRole::Owner, Standing::LockedOut),
        (MemberRole::Admin, case.admin),
        (MemberRole::Operator, Standing::Active),
    ] {
        let member = Member {
            id: member_id(case.slug, role.as_str()),
            org_id: id.clone(),
            email: format!("{role}@{}.example", case.slug),
            name: format!("{} of {}", role.label(), case.slug),
            role,
            standing,
            role_since: case.owner_since,
        };
        orgs::insert_member(tx.conn(), &member).await.unwrap();
        let hash = credential::hash(&credential_of(&member.id));
        let credential_id = format!("credential-{}", member.id);
        let life = (now, now + credential::ORG_LIFE);
        orgs::insert_credential(tx.conn(), &credential_id, &id, &member.id, &hash, life)
            .await
            .unwrap();
    }
    orgs::set_owner(tx.conn(), &id, &member_id(case.slug, "owner"), case.owner_since)
        .await
        .unwrap();
    if case.unreachable {
        orgs::set_unreachable(tx, &id, "three calls, two mails", now - time::DAY).await.unwrap();
    }
    create_log(tx.conn(), &desk.keys.log, &LogId::Org(id), now).await.unwrap();
    let secret = match case.slug {
        "cedar" => "vtk_cedar".to_owned(),
        "dune" => "gw_dune".to_owned(),
        slug => format!("whk_{slug}"),
    };
    write_secret(desk, vault, tx, case.slug, &secret).await;
}

async fn write_secret(desk: &Desk, vault: &Breakable, tx: &mut Tx, slug: &str, id: &str) {
    let secret = Secret {
        id: id.to_owned(),
        org_id: org_id(slug),
        secret_type: type_of(id),
        label: "orders".to_owned(),
        target: "https://hooks.customer.example/orders".to_owned(),
        version: 1,
        expires_at: None,
        created_at: desk.now() - 300 * time::DAY,
    };
    secrets::insert(tx.conn(), &secret).await.unwrap();
    let binding = Binding {
        context: secret.secret_type.as_str(),
        org_id: &secret.org_id,
        secret_id: id,
        version: 1,
    };
    let mut generator = desk.rng.generator();
    let key = WebhookKey::generate(&mut generator);
    let value = key.expose().expose_secret().as_bytes();
    let sealed = (secret.secret_type == SecretType::WebhookSigningKey)
        .then(|| sealing::seal(&mut generator, &desk.keys.ring, &binding, value).unwrap());
    let (kek_id, sealed) = sealed.map(|s| (s.kek_id, s.bytes)).unzip();
    let mut reference = None;
    if secret.secret_type == SecretType::VaultToken {
        let made = vault.inner.create_on(tx.conn(), &first_token()).await.unwrap();
        reference = Some(made.accessor);
        *vault.first.lock().unwrap() = Some(made.token);
    }
    let version = Version {
        secret_id: id.to_owned(),
        version: 1,
        state: crate::model::VersionState::Live,
        created_at: secret.created_at,
        retires_at: None,
        kek_id,
        sealed,
        reference,
    };
    secrets::insert_version(tx.conn(), &version, None).await.unwrap();
}
