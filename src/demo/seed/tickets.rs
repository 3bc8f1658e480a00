//! The sixteen tickets: what each customer wrote, and what support noted.

use sqlx::AnyConnection;

use super::planted::Planted;
use crate::demo::DemoError;
use crate::desk::Desk;
use crate::model::SecretType::{MtlsCertificate, VaultToken, WebhookSigningKey};
use crate::model::{Micros, SecretType, TicketState, time};
use crate::store::tickets::{self, Message, Ticket};

struct TicketSpec {
    id: &'static str,
    /// The org's short name.
    org: &'static str,
    /// The requester's name; a member of the org.
    requester: &'static str,
    /// How support knew who it was.
    authenticated: Option<&'static str>,
    secret: (SecretType, &'static str),
    leak: bool,
    state: TicketState,
    /// How long ago it was filed.
    age: Micros,
    subject: &'static str,
    message: &'static str,
    /// What support wrote about it, so long after it was filed: the kind, who, and the text.
    answers: &'static [(Micros, &'static str, &'static str, &'static str)],
}

const MINUTE: Micros = time::MINUTE;
const HOUR: Micros = time::HOUR;

const PASSKEY: Option<&str> = Some("signed in to support with a passkey");
const CODE: Option<&str> = Some("signed in to support with password and one-time code");

const USUAL: TicketSpec = TicketSpec {
    id: "",
    org: "",
    requester: "",
    authenticated: PASSKEY,
    secret: (WebhookSigningKey, ""),
    leak: false,
    state: TicketState::Open,
    age: HOUR,
    subject: "",
    message: "",
    answers: &[],
};

const TICKETS: [TicketSpec; 16] = [
    TicketSpec {
        id: "NOV-4801",
        org: "brightwater",
        requester: "Olive Hartmann",
        secret: (WebhookSigningKey, "whk_7q2mx9dk4tfa6vhe"),
        age: 38 * MINUTE,
        subject: "Cannot replace the signing key of our shipment webhook",
        message: "Our security review wants the key of the shipment events webhook \
                  (whk_7q2mx9dk4tfa6vhe) replaced this week. I lost the phone with my second factor \
                  and cannot get into the console, and Tomás, our only Admin, left in the spring. \
                  Nobody else here has the rights. Can you replace it for us?",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4802",
        org: "copperleaf",
        requester: "Henrik Dahl",
        secret: (WebhookSigningKey, "whk_m4b7x1ce9zq5thu8"),
        leak: true,
        age: 12 * MINUTE,
        subject: "Webhook key may have been printed in a build log",
        message: "One of our contractors turned on verbose logging, and the signing key of our \
                  payment notifications (whk_m4b7x1ce9zq5thu8) was in a build log that was public \
                  for an hour. Please replace it as fast as you can; we would rather miss some \
                  messages than accept forged ones. My own account is locked and Yara's is \
                  suspended while we look into this.",
        answers: &[(
            4 * MINUTE,
            "note",
            "Support",
            "Marked as a suspected leak. The customer was asked not to send the key itself.",
        )],
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4803",
        org: "harbor-pine",
        requester: "Margaret Sloane",
        authenticated: CODE,
        secret: (VaultToken, "vtk_3c8n5w2p"),
        age: 5 * HOUR,
        subject: "Claims import still runs on a token of somebody who left",
        message: "The vault token of our claims import (vtk_3c8n5w2p) is tied to Dana Kerr, who \
                  left us on Friday. Dana was our only Admin. My own sign-in fails since we changed \
                  our identity provider, so there is nobody who could move it.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4804",
        org: "fjordline",
        requester: "Solveig Brandt",
        secret: (MtlsCertificate, "gw_bergen2h7q9x"),
        age: 3 * HOUR,
        subject: "Certificate of the Bergen gateway runs out in three days",
        message: "The gateway at Bergen substation 2 (gw_bergen2h7q9x) is up and connected, but its \
                  certificate ends this week and the renewal waits for an approval that only \
                  Mikael or I can give. Both of us were locked out when our tokens were recalled.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4805",
        org: "quarrylane",
        requester: "Desmond Achebe",
        authenticated: CODE,
        secret: (MtlsCertificate, "gw_line3d0w8k2"),
        age: 17 * HOUR,
        subject: "Gateway of line 3 is offline, its certificate has ended",
        message: "Assembly line 3 stopped reporting last night: the certificate of its gateway \
                  (gw_line3d0w8k2) has ended. I cannot sign in any more, and Kirsten has left. We \
                  have somebody on site who can put new files on the gateway and restart it.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4806",
        org: "marigold",
        requester: "Beatriz Fonseca",
        secret: (WebhookSigningKey, "whk_z1p5n8qj3udw6yvb"),
        age: 7 * HOUR,
        subject: "Please replace the key of our reminder webhook",
        message: "We need a new signing key for the appointment reminders (whk_z1p5n8qj3udw6yvb). \
                  My account is locked after too many attempts, and we have had no Admin since \
                  Alan left. I believe we switched off access for you after the last audit.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4807",
        org: "tallgrass",
        requester: "Lucía Ortega",
        secret: (WebhookSigningKey, "whk_h8d4y2sk6gbm0xqa"),
        age: 26 * HOUR,
        subject: "New key for the order intake webhook",
        message: "I am an Admin at Tallgrass. I would like a new signing key for order intake \
                  (whk_h8d4y2sk6gbm0xqa). I mistyped my code too often this morning and have to \
                  wait until my account opens again; it would be quicker if you did it.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4808",
        org: "tallgrass",
        requester: "Ben Okoro",
        authenticated: CODE,
        secret: (WebhookSigningKey, "whk_u3f7c9vn1etz5ril"),
        age: 22 * HOUR,
        subject: "Cold chain alerts: key has to go",
        message: "I run the night shift and the cold chain alerts (whk_u3f7c9vn1etz5ril) come from \
                  a key that nobody remembers making. Walter does not answer at this hour. Could \
                  you make a new one and send it to me?",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4809",
        org: "saltmarsh",
        requester: "Conrad Bell",
        secret: (WebhookSigningKey, "whk_k2w6e0ra4ohx9jct"),
        leak: true,
        state: TicketState::Pending,
        age: 47 * HOUR,
        subject: "Berth bookings: somebody may have our key",
        message: "We see bookings that none of our people made. Somebody may have the key of the \
                  berth bookings webhook (whk_k2w6e0ra4ohx9jct). My account is locked and Amelie \
                  is gone. I am about to board and will be hard to reach.",
        answers: &[
            (
                50 * MINUTE,
                "staff",
                "Support",
                "Thank you for telling us. We would like to confirm a few things with you by \
                 telephone; at which number can we reach you today?",
            ),
            (
                42 * HOUR,
                "note",
                "Support",
                "No answer by telephone or mail since the first message. Marked as unreachable.",
            ),
        ],
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4810",
        org: "bluestem",
        requester: "Nadia Rahimi",
        authenticated: None,
        secret: (WebhookSigningKey, "whk_r0x8g4pf2nsk7wmd"),
        age: 95 * MINUTE,
        subject: "Locked out, need the report webhook's key changed",
        message: "Hello, this is Nadia from Bluestem, writing from my private mail because I am \
                  locked out of everything. Please change the signing key of our report webhook \
                  (whk_r0x8g4pf2nsk7wmd).",
        answers: &[(
            10 * MINUTE,
            "note",
            "Support",
            "Came in by mail. The sender has not signed in to support.",
        )],
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4811",
        org: "verano",
        requester: "Rafael Quintana",
        secret: (WebhookSigningKey, "whk_d7s3q1xh5kvu8fan"),
        age: 30 * HOUR,
        subject: "I am taking over Verano's account: new webhook key please",
        message: "I am taking over from Elena Duarte as Owner; the contract change is under way. \
                  Please replace the key of our booking changes webhook (whk_d7s3q1xh5kvu8fan) so \
                  that we begin with one that only we know. I cannot get into the console yet.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4812",
        org: "ironbark",
        requester: "Bruce Tindall",
        authenticated: CODE,
        secret: (WebhookSigningKey, "whk_y4g0m7ck9wtr2bqe"),
        age: 9 * HOUR,
        subject: "Key of the safety incidents webhook, I am locked out",
        message: "I need the signing key of our safety incidents webhook (whk_y4g0m7ck9wtr2bqe) \
                  replaced before the auditors come. My security key broke on site. Wen could \
                  probably do it, but I would prefer that you take care of it.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4813",
        org: "lumenstreet",
        requester: "Judith Kampmann",
        secret: (WebhookSigningKey, "whk_p6c2v8le0zjw4dyx"),
        age: 14 * HOUR,
        subject: "Render webhook: please rotate the signing key",
        message: "Oskar set up our render webhook (whk_p6c2v8le0zjw4dyx) and took his laptop along \
                  when he left. I am locked out since my phone was stolen. You have my PGP key.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4814",
        org: "osprey",
        requester: "Farah Siddiqui",
        secret: (WebhookSigningKey, "whk_t9n5k3ub1rxs7ghw"),
        age: 2 * HOUR,
        subject: "Menu sync key, please put the new one into our shared vault",
        message: "Our menu sync (whk_t9n5k3ub1rxs7ghw) still uses the key from our trial. Colin, \
                  who had Admin, works elsewhere now and I am waiting for a new authenticator. We \
                  share a 1Password vault with you; that is where we would look for it.",
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4815",
        org: "bluestem",
        requester: "Nadia Rahimi",
        authenticated: CODE,
        secret: (WebhookSigningKey, "whk_v5j1b9yt6qch3ezl"),
        state: TicketState::Closed,
        age: 44 * HOUR,
        subject: "Usage alerts: is the key still good?",
        message: "We moved the receiver of our usage alerts (whk_v5j1b9yt6qch3ezl). Does its \
                  signing key have to change as well?",
        answers: &[(
            3 * HOUR,
            "staff",
            "Support",
            "No: the key stays the same when the address changes. We are closing this ticket; \
             please open a new one if anything else comes up.",
        )],
        ..USUAL
    },
    TicketSpec {
        id: "NOV-4816",
        org: "bluestem",
        requester: "Nadia Rahimi",
        secret: (WebhookSigningKey, "whk_c5n8rj3wz0pby1gs"),
        age: 20 * MINUTE,
        subject: "Wrong key on one of our webhooks?",
        message: "A partner gave me this id and says that it is ours: whk_c5n8rj3wz0pby1gs. Please \
                  give it a new signing key and send that to me. I still cannot sign in to the \
                  console.",
        ..USUAL
    },
];

/// Files the tickets.
pub(super) async fn plant(
    desk: &Desk,
    conn: &mut AnyConnection,
    orgs: &[Planted],
    now: Micros,
) -> Result<(), DemoError> {
    for spec in &TICKETS {
        let org = orgs
            .iter()
            .find(|org| org.slug == spec.org)
            .ok_or(DemoError::Script("a ticket of an org that is not there"))?;
        let requester = org
            .member(spec.requester)
            .ok_or(DemoError::Script("a ticket of somebody who is not there"))?;
        let filed_at = now - spec.age;
        let (secret_type, secret_id) = spec.secret;
        let mut ticket =
            Ticket::new(spec.id, &org.id, spec.subject, spec.requester, filed_at).leaked(spec.leak);
        ticket.state = spec.state;
        ticket.requester_member = Some(requester.id.clone());
        ticket.authenticated_how = spec.authenticated.map(str::to_owned);
        ticket.authenticated_at = spec.authenticated.map(|_| filed_at);
        ticket.secret_type = Some(secret_type.as_str().to_owned());
        ticket.secret_id = Some(secret_id.to_owned());
        tickets::insert(conn, &ticket).await?;

        let first = (0, "customer", spec.requester, spec.message);
        for (after, kind, author, text) in
            std::iter::once(first).chain(spec.answers.iter().copied())
        {
            let message = Message {
                id: desk.new_id(),
                ticket_id: spec.id.to_owned(),
                author: author.to_owned(),
                kind: kind.to_owned(),
                body: text.to_owned(),
                at: filed_at + after,
                outside_id: None,
                waits: 0,
            };
            tickets::insert_message(conn, &message).await?;
        }
    }
    Ok(())
}
