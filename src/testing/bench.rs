//! A desk on a database of its own, with the story in it and a clock that can be moved.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::AnyConnection;
use tempfile::TempDir;

use super::breakable::Breakable;
use super::deaths::Deaths;
use super::mailbox::Mailbox;
use super::{postgres, story, template};
use crate::audit::trail::{Depth, judge};
use crate::audit::verify::{Claim, Fault, agree, whole_log_against};
use crate::auth::credential;
use crate::clock::{ManualClock, SeededRng, SystemRng};
use crate::delivery::tickets::Tickets;
use crate::delivery::tickets::embedded::EmbeddedDesk;
use crate::desk::gateways::GatewaySettings;
use crate::desk::keys::{Keys, Names};
use crate::desk::rotate::{Ask, Caller, Rotated};
use crate::desk::staff::sign_ins::SignIns;
use crate::desk::{AtWork, Desk, Settings, Step};
use crate::model::{Consent, Micros, time};
use crate::proof::row::AuditRow;
use crate::proof::verdict::TrailVerdict;
use crate::secrets::sealing::{self, Binding, Sealed};
use crate::secrets::vault::embedded::EmbeddedVault;
use crate::store::audit::Head;
use crate::store::handoffs::{self, Handoff};
use crate::store::impersonations::{self, Impersonation};
use crate::store::orgs::{self, Member};
use crate::store::secrets::{self, Version};
use crate::store::{Engine, Store, audit, staff};

/// No two desks of a test process draw the same randomness.
static SEEDS: AtomicU64 = AtomicU64::new(1);

/// What a test works with.
pub(crate) struct Bench {
    pub(crate) desk: Arc<Desk>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) vault: Arc<Breakable>,
    /// The address of the database.
    pub(crate) url: String,
    /// Where the keys are, and the database where it is SQLite's.
    folder: PathBuf,
    _removed: Option<TempDir>,
}

impl Bench {
    /// A database with the story in it.
    pub(crate) async fn new(engine: Engine) -> Self {
        template::copy(engine, SEEDS.fetch_add(1, Ordering::Relaxed)).await
    }

    /// The same in a PostgreSQL database that orders texts as people do, and not byte by byte.
    pub(crate) async fn in_words_order() -> Self {
        Self::at(postgres::database_in_words_order().await).await
    }

    /// The same, with its folder, which goes when it does.
    pub(super) fn removing(mut self, folder: TempDir) -> Self {
        self._removed = Some(folder);
        self
    }

    /// The story in a database that is there, and empty.
    pub(crate) async fn at(url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seed = SEEDS.fetch_add(1, Ordering::Relaxed);
        template::write_story(&url, &folder, seed).await.removing(folder)
    }

    /// A desk on what is there already: as after a restart, or as a second instance.
    pub(crate) async fn open(url: &str, folder: &Path, now: Micros, seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(now));
        let mailbox = Arc::new(Mailbox::default());
        let names = Names {
            issuer: "https://keyturn.example",
            audience: "https://keyturn.example/api",
            log_origin: "keyturn.example",
        };
        let store = Store::connect(url, 8).await.unwrap();
        let rng = Arc::new(SeededRng::new(seed));
        let deaths = Arc::new(Deaths::default());
        let embedded = Arc::new(EmbeddedVault::new(store.clone(), clock.clone(), rng.clone()));
        let vault = Arc::new(Breakable::new(embedded, deaths.clone()));
        let desk = Desk {
            tickets: Arc::new(EmbeddedDesk::new(store.clone(), "NOV-")),
            store,
            clock: clock.clone(),
            rng,
            keys: Keys::load(&folder.join("keys.json"), &names, now).unwrap(),
            settings: Settings {
                base_url: "https://keyturn.example".to_owned(),
                impersonation_life: 15 * time::MINUTE,
                overlap_seconds: 86_400,
                proof_life: crate::policy::eligibility::PROOF_LIFE,
                credential_life: crate::auth::credential::ORG_LIFE,
                private_targets: false,
                mail_from: "Keyturn <keyturn@platform.example>".to_owned(),
                vault_policies: vec!["default".to_owned(), "cedar-*".to_owned()],
                gateways: GatewaySettings {
                    names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
                    ..GatewaySettings::default()
                },
                // Not there, unless a test lets a witness keep something in it.
                witness_folder: Some(folder.join("witness")),
                witness: None,
            },
            mailer: mailbox.clone(),
            vault: vault.clone(),
            deaths,
            shared_vault: None,
            lists_changed: tokio::sync::Notify::new(),
            sign_ins: SignIns::new(&SystemRng),
        };
        Self {
            desk: Arc::new(desk),
            clock,
            mailbox,
            vault,
            url: url.to_owned(),
            folder: folder.to_owned(),
            _removed: None,
        }
    }

    /// The same desk, with tickets that are kept elsewhere. To be called while nobody else has the
    /// desk in hand.
    pub(crate) fn keep_tickets_in(&mut self, tickets: Arc<dyn Tickets>) {
        Arc::get_mut(&mut self.desk).expect("nobody else has the desk").tickets = tickets;
    }

    /// The same desk, whose vault tokens are another vault's. To be called while nobody else has
    /// the desk in hand.
    pub(crate) fn keep_tokens_in(&mut self, vault: Arc<dyn crate::secrets::vault::Vault>) {
        Arc::get_mut(&mut self.desk).expect("nobody else has the desk").vault = vault;
    }

    /// The same desk, which holds the logs against what a witness signed. To be called while nobody
    /// else has the desk in hand.
    pub(crate) fn hold_against(&mut self, witness: crate::desk::AskedWitness) {
        let desk = Arc::get_mut(&mut self.desk).expect("nobody else has the desk");
        desk.settings.witness = Some(witness);
    }

    /// The folder of the keys, and of SQLite's files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn engine(&self) -> Engine {
        self.desk.store.engine()
    }

    pub(crate) fn now(&self) -> Micros {
        self.desk.now()
    }

    /// A member of staff who has just signed in.
    pub(crate) async fn at_work(&self, id: &str) -> AtWork {
        let mut conn = self.desk.store.read().await.unwrap();
        AtWork {
            staff: staff::by_id(&mut conn, id).await.unwrap().unwrap(),
            session_id: format!("session-of-{id}"),
            proven_at: self.now(),
            session_ends_at: self.now() + 8 * time::HOUR,
            from: "192.0.2.7".to_owned(),
        }
    }

    /// A member of an org, as known by the credential.
    pub(crate) async fn member(&self, id: &str) -> Member {
        let mut conn = self.desk.store.read().await.unwrap();
        let hash = credential::hash(&story::credential_of(id));
        orgs::member_by_credential(&mut conn, &hash).await.unwrap().unwrap()
    }

    /// Starts the impersonation for a ticket.
    pub(crate) async fn impersonate(&self, who: &AtWork, ticket: &str) -> Step<Impersonation> {
        let mut tx = self.desk.begin().await?;
        let step = self.desk.impersonate(&mut tx, who, ticket).await;
        self.desk.settle(tx, step).await
    }

    /// The grant as it is now.
    pub(crate) async fn grant(&self, id: &str) -> Impersonation {
        let mut conn = self.desk.store.read().await.unwrap();
        impersonations::by_id(&mut conn, id).await.unwrap().unwrap()
    }

    pub(crate) fn token(&self, grant: &Impersonation) -> SecretString {
        self.desk.token_of(grant).unwrap()
    }

    /// Rotates what the grant is for, as the console's button does.
    pub(crate) async fn rotate(&self, grant: &Impersonation) -> Step<Rotated> {
        let caller = Caller::Token(self.desk.token_of(grant)?);
        self.rotate_as(&caller, &grant.secret_id, &Ask::default()).await
    }

    /// Rotates a secret, as the API does.
    pub(crate) async fn rotate_as(&self, caller: &Caller, id: &str, ask: &Ask) -> Step<Rotated> {
        self.desk.rotate(story::type_of(id), id, caller, ask).await
    }

    /// Self-service by a member of an org.
    pub(crate) async fn self_service(&self, member: &str, id: &str, ask: &Ask) -> Step<Rotated> {
        let caller = Caller::Member(Box::new(self.member(member).await));
        self.rotate_as(&caller, id, ask).await
    }

    /// Hands off, and ends the impersonation.
    pub(crate) async fn hand_off(&self, who: &AtWork, id: &str) -> Step<Handoff> {
        let mut tx = self.desk.begin().await?;
        let step = self.desk.hand_off(&mut tx, who, id).await;
        self.desk.settle(tx, step).await
    }

    /// Ends an impersonation at the wish of an admin.
    pub(crate) async fn end(&self, who: &AtWork, id: &str) -> Step<Impersonation> {
        let mut tx = self.desk.begin().await?;
        let step = self.desk.end_by_admin(&mut tx, who, id).await;
        self.desk.settle(tx, step).await
    }

    /// Switches consent with a member's credential: off, or on until it is withdrawn.
    pub(crate) async fn set_consent(&self, member: &str, on: bool) -> Step<()> {
        let member = self.member(member).await;
        let mut tx = self.desk.begin().await?;
        let to = if on { Consent::UntilWithdrawn } else { Consent::Off };
        let step = self.desk.set_consent(&mut tx, &member, &to, None).await;
        self.desk.settle(tx, step).await
    }

    pub(crate) async fn handoff_of(&self, impersonation_id: &str) -> Handoff {
        let mut conn = self.desk.store.read().await.unwrap();
        handoffs::of_impersonation(&mut conn, impersonation_id).await.unwrap().unwrap()
    }

    /// The versions of a secret, newest first.
    pub(crate) async fn versions(&self, secret_id: &str) -> Vec<Version> {
        let mut conn = self.desk.store.read().await.unwrap();
        secrets::versions(&mut conn, secret_id).await.unwrap()
    }

    /// The value of a version, unsealed.
    pub(crate) async fn value(&self, secret_id: &str, version: i64) -> SecretString {
        let mut conn = self.desk.store.read().await.unwrap();
        let secret = secrets::by_id(&mut conn, secret_id).await.unwrap().unwrap();
        let versions = secrets::versions(&mut conn, secret_id).await.unwrap();
        let found = versions.into_iter().find(|v| v.version == version).unwrap();
        let binding = Binding {
            context: secret.secret_type.as_str(),
            org_id: &secret.org_id,
            secret_id,
            version,
        };
        let sealed = Sealed { kek_id: found.kek_id.unwrap(), bytes: found.sealed.unwrap() };
        let opened = sealing::open(&self.desk.keys.ring, &binding, &sealed).unwrap();
        String::from_utf8(opened.expose_secret().to_vec()).unwrap().into()
    }

    /// The versions whose keys are accepted now, newest first.
    pub(crate) async fn accepted(&self, secret_id: &str) -> Vec<i64> {
        let now = self.now();
        let versions = self.versions(secret_id).await;
        versions.iter().filter(|v| v.accepted(now)).map(|v| v.version).collect()
    }

    /// The rows of a log, `platform` or an org's short name, as their texts say; without those that
    /// only say what is on record.
    pub(crate) async fn rows(&self, log: &str) -> Vec<AuditRow> {
        let log = if log == "platform" { log.to_owned() } else { format!("org/org-{log}") };
        let mut conn = self.desk.store.read().await.unwrap();
        let entries = audit::range(&mut conn, &log, 0, 100_000).await.unwrap();
        let rows = entries.iter().map(|e| AuditRow::parse(&e.body).unwrap());
        // What each org's log begins with is the same for every test.
        rows.filter(|row| row.action != crate::proof::actions::ORG_RECORDED).collect()
    }

    /// What the rows of a log are about, in order.
    pub(crate) async fn actions(&self, log: &str) -> Vec<String> {
        self.rows(log).await.into_iter().map(|row| row.action).collect()
    }

    /// The rows of a log with this action.
    pub(crate) async fn rows_of(&self, log: &str, action: &str) -> Vec<AuditRow> {
        self.rows(log).await.into_iter().filter(|row| row.action == action).collect()
    }

    /// The verdict on an impersonation, with each row's proof.
    pub(crate) async fn verdict(&self, id: &str) -> TrailVerdict {
        let mut conn = self.desk.store.read().await.unwrap();
        let key = &self.desk.keys.log;
        judge(&mut conn, key, id, Depth::Proofs, self.now()).await.unwrap().verdict
    }

    /// Verifies every log, and what each has recorded of the others; the number of rows.
    pub(crate) async fn verify_all(&self) -> Result<u64, Fault> {
        let mut conn = self.desk.store.read().await.unwrap();
        self.verify_on(&mut conn).await
    }

    /// The same, with the keys as they are in the database by now.
    pub(crate) async fn verify_fresh(&self) -> Result<u64, Fault> {
        let mut conn = self.desk.store.read().await.unwrap();
        self.desk.load_log_key(&mut conn).await.unwrap();
        self.verify_on(&mut conn).await
    }

    /// The same, through a connection in hand.
    pub(crate) async fn verify_on(&self, conn: &mut AnyConnection) -> Result<u64, Fault> {
        let heads = audit::heads(&mut *conn).await.unwrap();
        self.verify_heads(conn, &heads).await
    }

    /// The same, for heads that were read before.
    pub(crate) async fn verify_heads(
        &self,
        conn: &mut AnyConnection,
        heads: &[Head],
    ) -> Result<u64, Fault> {
        let (rows, claims) = self.verify_each(conn, heads).await?;
        agree(conn, heads, claims).await.unwrap()?;
        Ok(rows)
    }

    /// Verifies every log by itself: the number of rows, and what they recorded of each other.
    pub(crate) async fn verify_each(
        &self,
        conn: &mut AnyConnection,
        heads: &[Head],
    ) -> Result<(u64, Vec<Claim>), Fault> {
        let key = &self.desk.keys.log;
        let verifiers = key.verifiers();
        let (mut rows, mut claims) = (0, Vec::new());
        for head in heads {
            let log = whole_log_against(&mut *conn, &verifiers, &key.origin, head, &[], |_| {});
            let log = log.await.unwrap()?;
            rows += log.report.rows;
            claims.extend(log.claims);
        }
        Ok((rows, claims))
    }

    /// Sends what waits, and gives the text of the mail about something.
    pub(crate) async fn mailbox_after_sending(&self, about: &str) -> String {
        self.desk.send_due().await.unwrap();
        self.mailbox.about(about).body.expose_secret().to_owned()
    }

    /// A trigger that stands in for a database that refuses rows whose action is like `pattern`,
    /// at the last moment.
    pub(crate) async fn refuse_rows(&self, pattern: &str) {
        let refuse = match self.engine() {
            Engine::Sqlite => format!(
                "CREATE TRIGGER no_row BEFORE INSERT ON audit_entry WHEN NEW.action LIKE '{pattern}' \
                 BEGIN SELECT RAISE(ABORT, 'no room'); END"
            ),
            Engine::Postgres => format!(
                "CREATE FUNCTION no_row() RETURNS trigger LANGUAGE plpgsql AS $$ \
                 BEGIN RAISE EXCEPTION 'no room'; END $$; \
                 CREATE TRIGGER no_row BEFORE INSERT ON audit_entry FOR EACH ROW \
                 WHEN (NEW.action LIKE '{pattern}') EXECUTE FUNCTION no_row()"
            ),
        };
        self.sql(&refuse).await.unwrap();
    }

    /// The database is mended.
    pub(crate) async fn take_rows_again(&self) {
        let mend = match self.engine() {
            Engine::Sqlite => "DROP TRIGGER no_row",
            Engine::Postgres => "DROP TRIGGER no_row ON audit_entry",
        };
        self.sql(mend).await.unwrap();
    }

    /// PostgreSQL notices a moment later that its client is gone, and undoes what it left open.
    pub(crate) async fn quiet(&self) {
        if self.engine() == Engine::Sqlite {
            return;
        }
        let at_work = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND pid <> pg_backend_pid() AND state <> 'idle'";
        for _ in 0..2000 {
            if self.number(at_work).await == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("a killed client's transaction is still open");
    }

    /// Runs SQL, as somebody with a client of the database would.
    pub(crate) async fn sql(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let mut conn = self.desk.store.read().await.unwrap();
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut *conn).await?;
        Ok(done.rows_affected())
    }

    /// Changes the tables of an org as a step would that is none of the test's business, with the
    /// record in its log.
    pub(crate) async fn edit_org(&self, org_id: &str, sql: &str) {
        self.sql(sql).await.unwrap();
        let mut tx = self.desk.begin().await.unwrap();
        let by = crate::audit::Actor::system();
        self.desk.record_org(&mut tx, org_id, &by, "a test").await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Support has authenticated each ticket's requester an hour ago.
    pub(crate) async fn authenticated_anew(&self) {
        let at = self.now() - crate::model::time::HOUR;
        let sql =
            format!("UPDATE ticket SET authenticated_at = {at} WHERE authenticated_at IS NOT NULL");
        self.sql(&sql).await.unwrap();
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut conn = self.desk.store.read().await.unwrap();
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()));
        query.fetch_one(&mut *conn).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
    }
}
