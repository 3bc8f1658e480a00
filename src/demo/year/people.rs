//! Who is in the year: staff, orgs, their members and secrets.

use rand::Rng as _;
use rand::rngs::StdRng;

use crate::audit::{Actor, LogId};
use crate::model::{MemberRole, Micros, SecretType, Standing, VersionState, time};
use crate::proof::row::ActorType;
use crate::store::many::{self, Value};
use crate::store::{Result, Tx};

const STAFF: [&str; 24] = [
    "Mara Vogel",
    "Dan Okafor",
    "Ines Prat",
    "Lukas Brandt",
    "Aiko Mori",
    "Noor Haddad",
    "Piotr Zielinski",
    "Greta Lind",
    "Samir Khan",
    "Elena Rossi",
    "Tomas Novak",
    "Wanjiru Kamau",
    "Hugo Martin",
    "Freya Olsen",
    "Raj Patel",
    "Lucia Gomez",
    "Owen Price",
    "Mei Lin",
    "Yusuf Demir",
    "Clara Weiss",
    "Ivan Petrov",
    "Anna Kowalska",
    "Leo Fischer",
    "Sara Nilsson",
];
const FIRST: [&str; 25] = [
    "Amber", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Granite", "Harbour", "Indigo",
    "Juniper", "Kestrel", "Lumen", "Meridian", "Nimbus", "Ochre", "Pioneer", "Quarry", "Rowan",
    "Summit", "Tidal", "Umber", "Vertex", "Willow", "Yonder", "Zephyr",
];
const SECOND: [&str; 20] = [
    "Analytics",
    "Bank",
    "Cargo",
    "Data",
    "Energy",
    "Foods",
    "Group",
    "Health",
    "Insurance",
    "Labs",
    "Logistics",
    "Media",
    "Motors",
    "Networks",
    "Payments",
    "Rail",
    "Retail",
    "Systems",
    "Travel",
    "Works",
];
const PEOPLE: [&str; 16] = [
    "Olive Hart",
    "Tom Reyes",
    "Priya Nair",
    "Sam White",
    "Jana Kral",
    "Bo Larsen",
    "Nadia Saleh",
    "Chris Doyle",
    "Emi Sato",
    "Kofi Mensah",
    "Luca Conti",
    "Vera Popova",
    "Ada Quinn",
    "Milan Horvat",
    "Rosa Diaz",
    "Finn Berg",
];

/// A customer.
pub(super) struct Org {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) log: LogId,
    /// The first is the Owner of record.
    pub(super) members: Vec<(String, &'static str)>,
    pub(super) secrets: Vec<(SecretType, String)>,
}

/// Everybody.
pub(super) struct People {
    pub(super) staff: Vec<(String, &'static str)>,
    pub(super) orgs: Vec<Org>,
    /// Running sums of how much goes on at each org: few are busy, most are quiet.
    weights: Vec<f64>,
}

/// Until when each admin and each org is taken by an impersonation.
pub(super) struct Calendar {
    admins: Vec<Micros>,
    orgs: Vec<Micros>,
}

/// How many of the staff are auditors: the last ones.
const AUDITORS: usize = 4;

impl People {
    pub(super) fn new(orgs: usize, rng: &mut StdRng) -> Self {
        let staff = STAFF.iter().enumerate();
        let mut sum = 0.0;
        let mut weights = Vec::with_capacity(orgs);
        let orgs = (0..orgs)
            .map(|n| {
                #[allow(clippy::cast_precision_loss, reason = "a weight, of a small number")]
                let weight = 1.0 / ((n + 1) as f64).powf(0.7);
                sum += weight;
                weights.push(sum);
                let id = format!("org-{:04}", n + 1);
                let round = n / (FIRST.len() * SECOND.len());
                let name = format!(
                    "{} {}",
                    FIRST[n % FIRST.len()],
                    SECOND[n / FIRST.len() % SECOND.len()]
                );
                let name = if round == 0 { name } else { format!("{name} {}", round + 1) };
                let many = rng.gen_range(3..9);
                let first = rng.gen_range(0..PEOPLE.len());
                Org {
                    log: LogId::Org(id.clone()),
                    members: (0..many)
                        .map(|m| (format!("{id}-m{m}"), PEOPLE[(first + m) % PEOPLE.len()]))
                        .collect(),
                    secrets: vec![
                        (SecretType::WebhookSigningKey, format!("whk_{:04}", n + 1)),
                        (SecretType::VaultToken, format!("vtk_{:04}", n + 1)),
                        (SecretType::MtlsCertificate, format!("gw_{:04}", n + 1)),
                    ],
                    id,
                    name,
                }
            })
            .collect();
        Self {
            staff: staff.map(|(n, name)| (format!("staff-{:02}", n + 1), *name)).collect(),
            orgs,
            weights,
        }
    }

    pub(super) fn calendar(&self) -> Calendar {
        Calendar { admins: vec![0; self.staff.len() - AUDITORS], orgs: vec![0; self.orgs.len()] }
    }

    /// An org, a busy one rather than a quiet one.
    pub(super) fn some_org(&self, rng: &mut StdRng) -> usize {
        let all = self.weights.last().copied().unwrap_or(0.0);
        let drawn = rng.gen_range(0.0..all.max(f64::MIN_POSITIVE));
        self.weights.partition_point(|w| *w <= drawn).min(self.orgs.len() - 1)
    }

    /// The last four are auditors.
    pub(super) fn some_staff(&self, rng: &mut StdRng) -> usize {
        rng.gen_range(0..self.staff.len())
    }

    pub(super) fn auditor(&self, staff: usize) -> bool {
        staff >= self.staff.len() - AUDITORS
    }

    /// An admin who is not this one.
    pub(super) fn another_admin(&self, admin: usize) -> usize {
        (admin + 1) % (self.staff.len() - AUDITORS)
    }

    pub(super) fn actor_of(&self, staff: usize) -> Actor {
        let (id, name) = &self.staff[staff];
        let actor_type =
            if self.auditor(staff) { ActorType::Auditor } else { ActorType::PlatformAdmin };
        let from = Some(format!("198.51.100.{}", staff + 10));
        Actor { actor_type, id: id.clone(), name: (*name).to_owned(), from }
    }

    pub(super) fn member_of(&self, org: usize, member: usize) -> Actor {
        let members = &self.orgs[org].members;
        let (id, name) = &members[member % members.len()];
        Actor {
            actor_type: ActorType::OrgMember,
            id: id.clone(),
            name: (*name).to_owned(),
            from: Some(format!("203.0.113.{}", member % 200 + 1)),
        }
    }

    /// Writes everybody down.
    pub(super) async fn insert(&self, tx: &mut Tx, at: Micros) -> Result<()> {
        use Value::{Maybe, Number, Text};
        let emails: Vec<String> =
            self.staff.iter().map(|(id, _)| format!("{id}@platform.example")).collect();
        let rows: Vec<_> = self
            .staff
            .iter()
            .zip(&emails)
            .enumerate()
            .map(|(n, ((id, name), email))| {
                let role = if self.auditor(n) { "auditor" } else { "platform_admin" };
                // No password fits it: nobody can sign in as one of them.
                [Text(id), Text(email), Text(name), Text(role), Text("!"), Number(at)]
            })
            .collect();
        many::insert(tx.conn(), "staff (id, email, name, role, password_hash, created_at)", &rows)
            .await?;
        let rows: Vec<_> = self
            .orgs
            .iter()
            .map(|o| {
                [
                    Text(&o.id),
                    Text(&o.id),
                    Text(&o.name),
                    Number(1),
                    Number(at),
                    // Nobody of the year is asked whether it still stands.
                    Number(at + 180 * time::DAY),
                    Text(&o.members[0].0),
                    Number(at),
                    Text("owner@customer.example"),
                    Text("pgp"),
                    Number(at),
                ]
            })
            .collect();
        let into = "org (id, slug, name, allow_platform_impersonation, consent_changed_at, consent_confirmed_at, owner_member_id, \
                    owner_since, owner_address, channel, created_at)";
        many::insert(tx.conn(), into, &rows).await?;
        let members: Vec<(String, &Org, &str, &str, MemberRole, Standing)> = self
            .orgs
            .iter()
            .flat_map(|o| {
                o.members.iter().enumerate().map(move |(n, (id, name))| {
                    let (role, standing) = match n {
                        0 => (MemberRole::Owner, Standing::LockedOut),
                        1 => (MemberRole::Admin, Standing::Departed),
                        _ => (MemberRole::Operator, Standing::Active),
                    };
                    (format!("{id}@customer.example"), o, id.as_str(), *name, role, standing)
                })
            })
            .collect();
        let rows: Vec<_> = members
            .iter()
            .map(|(email, o, id, name, role, standing)| {
                [
                    Text(id),
                    Text(&o.id),
                    Text(email),
                    Text(name),
                    Text(role.as_str()),
                    Text(standing.as_str()),
                    Number(at),
                ]
            })
            .collect();
        many::insert(
            tx.conn(),
            "member (id, org_id, email, name, role, standing, role_since)",
            &rows,
        )
        .await?;
        let secrets = || {
            self.orgs.iter().flat_map(|o| o.secrets.iter().map(move |(kind, id)| (o, *kind, id)))
        };
        let rows: Vec<_> = secrets()
            .map(|(o, kind, id)| {
                [
                    Text(id),
                    Text(&o.id),
                    Text(kind.as_str()),
                    Text(kind.label()),
                    Text("main"),
                    Number(1),
                    Number(at),
                ]
            })
            .collect();
        let into = "secret (id, org_id, secret_type, label, target, version, created_at)";
        many::insert(tx.conn(), into, &rows).await?;
        let rows: Vec<_> = secrets()
            .map(|(_, _, id)| {
                [Text(id), Number(1), Text(VersionState::Live.as_str()), Number(at), Maybe(None)]
            })
            .collect();
        many::insert(
            tx.conn(),
            "secret_version (secret_id, version, state, created_at, reference)",
            &rows,
        )
        .await?;
        let rows: Vec<_> = secrets()
            .filter(|(_, kind, _)| *kind == SecretType::MtlsCertificate)
            .map(|(_, _, id)| [Text(id)])
            .collect();
        many::insert(tx.conn(), "gateway (secret_id)", &rows).await
    }
}

impl Calendar {
    /// An admin and an org that are both free at `at`, taken until `until`.
    pub(super) fn take(
        &mut self,
        people: &People,
        at: Micros,
        until: Micros,
        rng: &mut StdRng,
    ) -> (usize, usize) {
        let mut org = people.some_org(rng);
        while self.orgs[org] > at && self.orgs.iter().any(|busy| *busy <= at) {
            org = (org + 1) % self.orgs.len();
        }
        let mut admin = rng.gen_range(0..self.admins.len());
        while self.admins[admin] > at && self.admins.iter().any(|busy| *busy <= at) {
            admin = (admin + 1) % self.admins.len();
        }
        self.orgs[org] = until;
        self.admins[admin] = until;
        (admin, org)
    }
}
