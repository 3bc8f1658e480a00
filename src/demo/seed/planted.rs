//! A customer from its description: the org, its people, the Owner's key, and credentials.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::orgs::{OrgSpec, Person, Way};
use crate::auth::credential;
use crate::demo::owner_keys::{self, OwnerKeyPair};
use crate::demo::story::{Credential, OrgAccess, OwnerKey};
use crate::demo::{DemoError, Story};
use crate::desk::Desk;
use crate::model::{Channel, MemberRole, Micros, Standing};
use crate::store::Tx;
use crate::store::orgs::{self, Member, NewOrg};

/// A customer that is in the database.
pub(super) struct Planted {
    pub(super) id: String,
    pub(super) slug: &'static str,
    pub(super) spec: &'static OrgSpec,
    /// In the order of the description: the first is the Owner of record.
    pub(super) members: Vec<Member>,
}

impl Planted {
    /// The member of this name.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.name == name)
    }
}

/// Adds a customer, and tells the story of it.
pub(super) async fn plant(
    desk: &Desk,
    tx: &mut Tx,
    spec: &'static OrgSpec,
    story: &mut Story,
    now: Micros,
) -> Result<Planted, DemoError> {
    let created_at = now - spec.age;
    let owner = spec.people.first().ok_or(DemoError::Script("an org without an Owner"))?;
    let address = address_of(owner, spec);
    let (channel, key, vault) = way_to(desk, spec, owner, &address, created_at)?;

    let id = desk.new_id();
    orgs::insert(
        tx.conn(),
        &NewOrg {
            id: &id,
            slug: spec.slug,
            name: spec.name,
            // Only an Owner switches it on: `history` does, in the Owner's name.
            consent: false,
            owner_address: &address,
            channel: Some(channel),
            pgp_key: key.as_ref().map(|key| key.public.as_str()),
            shared_vault_id: vault,
            created_at,
        },
    )
    .await?;
    let mut members = Vec::with_capacity(spec.people.len());
    for (place, person) in spec.people.iter().enumerate() {
        let member = Member {
            id: desk.new_id(),
            org_id: id.clone(),
            email: address_of(person, spec),
            name: person.0.to_owned(),
            role: person.2,
            standing: person.3,
            role_since: if place == 0 { now - spec.owner_for } else { created_at },
        };
        orgs::insert_member(tx.conn(), &member).await?;
        members.push(member);
    }
    orgs::set_owner(tx.conn(), &id, &members[0].id, now - spec.owner_for).await?;

    let credentials = credentials(desk, tx, &members, now).await?;
    story.orgs.push(OrgAccess {
        slug: spec.slug.to_owned(),
        name: spec.name.to_owned(),
        owner: owner.0.to_owned(),
        owner_email: address.clone(),
        credentials,
    });
    if let Some(key) = key {
        story.owner_pgp.push(OwnerKey {
            org: spec.slug.to_owned(),
            email: address,
            private_key: key.private,
            fingerprint: key.fingerprint,
        });
    }
    Ok(Planted { id, slug: spec.slug, spec, members })
}

fn address_of(person: &Person, org: &OrgSpec) -> String {
    format!("{}@{}.example", person.1, org.slug)
}

type WayTo = (Channel, Option<OwnerKeyPair>, Option<&'static str>);

fn way_to(
    desk: &Desk,
    spec: &OrgSpec,
    owner: &Person,
    address: &str,
    created_at: Micros,
) -> Result<WayTo, DemoError> {
    match spec.way {
        Way::OnePassword(vault) => Ok((Channel::OnePassword, None, Some(vault))),
        Way::Pgp { life } => {
            let user_id = format!("{} <{address}>", owner.0);
            let key = owner_keys::generate(&mut desk.rng.generator(), &user_id, created_at, life)?;
            Ok((Channel::Pgp, Some(key), None))
        }
    }
}

/// A credential for the Owner of record, and for the first Admin and Operator who are still there.
async fn credentials(
    desk: &Desk,
    tx: &mut Tx,
    members: &[Member],
    now: Micros,
) -> Result<Vec<Credential>, DemoError> {
    let mut credentials = Vec::new();
    for role in [MemberRole::Owner, MemberRole::Admin, MemberRole::Operator] {
        let holder = members.iter().find(|m| m.role == role && m.standing != Standing::Departed);
        let Some(holder) = holder else { continue };
        let token = credential::new_org_credential(desk.rng.as_ref());
        let hash = credential::hash(&token);
        let id = desk.new_id();
        orgs::insert_credential(
            tx.conn(),
            &id,
            &holder.org_id,
            &holder.id,
            &hash,
            (now, now + credential::ORG_LIFE),
        )
        .await?;
        credentials.push(Credential {
            role,
            member: holder.email.clone(),
            token: Zeroizing::new(token.expose_secret().to_owned()),
        });
    }
    Ok(credentials)
}
