//! The demo's customers, as they are when the story begins. One for nearly every ticket: who can
//! sign in, consent, and the way to the Owner are facts of a whole org.

use crate::model::MemberRole::{self, Admin, Operator, Owner, Viewer};
use crate::model::SecretType::{self, MtlsCertificate, VaultToken, WebhookSigningKey};
use crate::model::Standing::{self, Active, Departed, LockedOut, Suspended};
use crate::model::{Micros, time};

/// A customer. Ages are counted back from when the story begins.
pub(super) struct OrgSpec {
    pub(super) slug: &'static str,
    pub(super) name: &'static str,
    /// How long it has been a customer.
    pub(super) age: Micros,
    /// For how long the first of the people has been Owner of record.
    pub(super) owner_for: Micros,
    /// Who switched consent on, as a place among the people.
    pub(super) consented: usize,
    /// How long ago the Owner switched consent off again.
    pub(super) consent_off: Option<Micros>,
    pub(super) way: Way,
    /// How long ago the Owner was marked unreachable, for which ticket, after which attempts.
    pub(super) unreachable: Option<(Micros, &'static str, &'static str)>,
    /// The first is the Owner of record.
    pub(super) people: &'static [Person],
    pub(super) secrets: &'static [SecretSpec],
}

/// What the runbook entry says.
pub(super) enum Way {
    /// The Owner's OpenPGP key, which lasts for so long from when the org became a customer.
    Pgp { life: Option<Micros> },
    /// A shared 1Password vault.
    OnePassword(&'static str),
}

/// A member: name, address before the `@`, role, standing.
pub(super) struct Person(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) MemberRole,
    pub(super) Standing,
);

/// A secret.
pub(super) struct SecretSpec {
    pub(super) kind: SecretType,
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    /// What a vault token is pinned to, or which gateway it is. A webhook's follows from its id.
    pub(super) target: &'static str,
    pub(super) version: i64,
    /// When it expires, counted from when the story begins.
    pub(super) expires_in: Option<Micros>,
    /// Whether a gateway's agent runs in the demo.
    pub(super) agent: bool,
}

const fn webhook(id: &'static str, label: &'static str, version: i64) -> SecretSpec {
    SecretSpec {
        kind: WebhookSigningKey,
        id,
        label,
        target: "",
        version,
        expires_in: None,
        agent: false,
    }
}

const fn token(
    id: &'static str,
    label: &'static str,
    target: &'static str,
    version: i64,
) -> SecretSpec {
    SecretSpec { kind: VaultToken, id, label, target, version, expires_in: None, agent: false }
}

const fn gateway(
    id: &'static str,
    label: &'static str,
    target: &'static str,
    version: i64,
    expires_in: Micros,
    agent: bool,
) -> SecretSpec {
    let expires_in = Some(expires_in);
    SecretSpec { kind: MtlsCertificate, id, label, target, version, expires_in, agent }
}

const DAY: Micros = time::DAY;
const HOUR: Micros = time::HOUR;

/// An org where all is as the procedure wants it, but for what a case changes.
const USUAL: OrgSpec = OrgSpec {
    slug: "",
    name: "",
    age: 400 * DAY,
    owner_for: 400 * DAY,
    consented: 0,
    consent_off: None,
    way: Way::Pgp { life: None },
    unreachable: None,
    people: &[],
    secrets: &[],
};

/// In the order of the tickets: scripts take the first for NOV-4801.
pub(super) const ORGS: [OrgSpec; 13] = [
    OrgSpec {
        slug: "brightwater",
        name: "Brightwater Logistics",
        age: 612 * DAY,
        owner_for: 610 * DAY,
        people: &[
            Person("Olive Hartmann", "olive.hartmann", Owner, LockedOut),
            Person("Tomás Reyes", "tomas.reyes", Admin, Departed),
            Person("Priya Nair", "priya.nair", Operator, Active),
            Person("Sam Whitlock", "sam.whitlock", Viewer, Active),
        ],
        secrets: &[
            webhook("whk_7q2mx9dk4tfa6vhe", "Shipment events", 3),
            webhook("whk_c5n8rj3wz0pby1gs", "Invoice events", 1),
            gateway(
                "gw_dock4k8t2n6r",
                "Dock scanners",
                "dock-4.gw.brightwater.example",
                2,
                71 * DAY,
                false,
            ),
        ],
        ..USUAL
    },
    OrgSpec {
        slug: "copperleaf",
        name: "Copperleaf Payments",
        age: 480 * DAY,
        owner_for: 302 * DAY,
        way: Way::Pgp { life: Some(730 * DAY) },
        people: &[
            Person("Henrik Dahl", "henrik.dahl", Owner, LockedOut),
            Person("Yara Benali", "yara.benali", Admin, Suspended),
            Person("Leo Marchetti", "leo.marchetti", Operator, Active),
            Person("Nkechi Obi", "nkechi.obi", Operator, Active),
        ],
        secrets: &[
            webhook("whk_m4b7x1ce9zq5thu8", "Payment notifications", 3),
            token("vtk_9f3kd7s1", "Ledger export", "service ledger-export", 2),
        ],
        ..USUAL
    },
    OrgSpec {
        slug: "harbor-pine",
        name: "Harbor & Pine Insurance",
        age: 721 * DAY,
        owner_for: 700 * DAY,
        people: &[
            Person("Margaret Sloane", "margaret.sloane", Owner, LockedOut),
            Person("Dana Kerr", "dana.kerr", Admin, Departed),
            Person("Felix Aubert", "felix.aubert", Operator, Active),
        ],
        secrets: &[
            token("vtk_3c8n5w2p", "Claims import", "dana.kerr@harbor-pine.example", 4),
            webhook("whk_e6r2k0vy7ljn4dpo", "Claim updates", 2),
        ],
        ..USUAL
    },
    OrgSpec {
        slug: "fjordline",
        name: "Fjordline Energy",
        age: 355 * DAY,
        owner_for: 355 * DAY,
        people: &[
            Person("Solveig Brandt", "solveig.brandt", Owner, LockedOut),
            Person("Mikael Strand", "mikael.strand", Admin, LockedOut),
            Person("Ingrid Haug", "ingrid.haug", Operator, Active),
        ],
        secrets: &[
            gateway(
                "gw_bergen2h7q9x",
                "Bergen substation 2",
                "bergen-2.gw.fjordline.example",
                4,
                3 * DAY,
                true,
            ),
            gateway(
                "gw_voss1m3c5z8",
                "Voss control room",
                "voss-1.gw.fjordline.example",
                3,
                62 * DAY,
                false,
            ),
        ],
        ..USUAL
    },
    OrgSpec {
        slug: "quarrylane",
        name: "Quarry Lane Robotics",
        age: 290 * DAY,
        owner_for: 288 * DAY,
        people: &[
            Person("Desmond Achebe", "desmond.achebe", Owner, LockedOut),
            Person("Kirsten Vogel", "kirsten.vogel", Admin, Departed),
            Person("Ravi Menon", "ravi.menon", Operator, Active),
        ],
        secrets: &[
            gateway(
                "gw_line3d0w8k2",
                "Assembly line 3",
                "line-3.gw.quarrylane.example",
                2,
                -20 * HOUR,
                true,
            ),
            webhook("whk_a9t3h6wm2xkf8rce", "Line telemetry", 1),
        ],
        ..USUAL
    },
    OrgSpec {
        slug: "marigold",
        name: "Marigold Health",
        age: 540 * DAY,
        owner_for: 540 * DAY,
        consent_off: Some(9 * DAY),
        people: &[
            Person("Beatriz Fonseca", "beatriz.fonseca", Owner, LockedOut),
            Person("Alan Whitcombe", "alan.whitcombe", Admin, Departed),
            Person("Joy Adeyemi", "joy.adeyemi", Operator, Active),
        ],
        secrets: &[webhook("whk_z1p5n8qj3udw6yvb", "Appointment reminders", 3)],
        ..USUAL
    },
    OrgSpec {
        slug: "tallgrass",
        name: "Tallgrass Foods",
        age: 233 * DAY,
        owner_for: 233 * DAY,
        people: &[
            Person("Walter Prairie", "walter.prairie", Owner, LockedOut),
            Person("Lucía Ortega", "lucia.ortega", Admin, LockedOut),
            Person("Ben Okoro", "ben.okoro", Operator, Active),
            Person("Hana Sato", "hana.sato", Viewer, Active),
        ],
        secrets: &[
            webhook("whk_h8d4y2sk6gbm0xqa", "Order intake", 2),
            webhook("whk_u3f7c9vn1etz5ril", "Cold chain alerts", 1),
        ],
        ..USUAL
    },
    OrgSpec {
        slug: "saltmarsh",
        name: "Saltmarsh Shipping",
        age: 388 * DAY,
        owner_for: 388 * DAY,
        unreachable: Some((
            5 * HOUR,
            "NOV-4809",
            "Called the number on file twice (no answer), wrote to the address on file, \
             asked the account manager to try: nobody has heard from them since yesterday.",
        )),
        people: &[
            Person("Conrad Bell", "conrad.bell", Owner, LockedOut),
            Person("Amelie Roux", "amelie.roux", Admin, Departed),
            Person("Jonas Petri", "jonas.petri", Operator, Active),
        ],
        secrets: &[webhook("whk_k2w6e0ra4ohx9jct", "Berth bookings", 3)],
        ..USUAL
    },
    OrgSpec {
        slug: "bluestem",
        name: "Bluestem Analytics",
        age: 176 * DAY,
        owner_for: 176 * DAY,
        people: &[
            Person("Nadia Rahimi", "nadia.rahimi", Owner, LockedOut),
            Person("Peter Lindholm", "peter.lindholm", Admin, Suspended),
            Person("Chioma Eze", "chioma.eze", Operator, Active),
        ],
        secrets: &[
            webhook("whk_r0x8g4pf2nsk7wmd", "Report ready", 2),
            webhook("whk_v5j1b9yt6qch3ezl", "Usage alerts", 1),
        ],
        ..USUAL
    },
    OrgSpec {
        slug: "verano",
        name: "Verano Travel",
        age: 450 * DAY,
        owner_for: 20 * HOUR,
        consented: 1,
        people: &[
            Person("Rafael Quintana", "rafael.quintana", Owner, LockedOut),
            Person("Elena Duarte", "elena.duarte", Owner, Departed),
            Person("Marco Bellini", "marco.bellini", Operator, Active),
        ],
        secrets: &[webhook("whk_d7s3q1xh5kvu8fan", "Booking changes", 3)],
        ..USUAL
    },
    OrgSpec {
        slug: "ironbark",
        name: "Ironbark Mining Services",
        age: 660 * DAY,
        owner_for: 501 * DAY,
        people: &[
            Person("Bruce Tindall", "bruce.tindall", Owner, LockedOut),
            Person("Wen Li", "wen.li", Admin, Active),
            Person("Tahlia Moore", "tahlia.moore", Operator, Active),
        ],
        secrets: &[webhook("whk_y4g0m7ck9wtr2bqe", "Safety incidents", 2)],
        ..USUAL
    },
    OrgSpec {
        slug: "lumenstreet",
        name: "Lumen Street Studios",
        age: 395 * DAY,
        owner_for: 395 * DAY,
        // A year and a day from when they came: it ran out four weeks ago.
        way: Way::Pgp { life: Some(366 * DAY) },
        people: &[
            Person("Judith Kampmann", "judith.kampmann", Owner, LockedOut),
            Person("Oskar Nilsen", "oskar.nilsen", Admin, Departed),
            Person("Mei Tan", "mei.tan", Operator, Active),
        ],
        secrets: &[webhook("whk_p6c2v8le0zjw4dyx", "Render finished", 2)],
        ..USUAL
    },
    OrgSpec {
        slug: "osprey",
        name: "Osprey Cloud Kitchens",
        age: 208 * DAY,
        owner_for: 208 * DAY,
        way: Way::OnePassword("h5kq2wz7mnb4xtc9vjd8rf3gya"),
        people: &[
            Person("Farah Siddiqui", "farah.siddiqui", Owner, LockedOut),
            Person("Colin Brody", "colin.brody", Admin, Departed),
            Person("Anneke de Wit", "anneke.dewit", Operator, Active),
        ],
        secrets: &[webhook("whk_t9n5k3ub1rxs7ghw", "Menu sync", 3)],
        ..USUAL
    },
];
