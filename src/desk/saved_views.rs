//! Views of the timeline that somebody keeps for themselves. They change nothing for anybody else,
//! and so leave no row in a log.

use super::{AtWork, Desk, Step, StepError};
use crate::store::Tx;
use crate::store::saved_views::{self, SavedView};

/// How many views a person may keep.
const MOST: usize = 30;

impl Desk {
    /// Keeps a filter under a name. The same name again takes the new filter.
    ///
    /// # Errors
    /// [`StepError::Invalid`] for a name that is none or holds a secret, and for a filter that
    /// narrows nothing; [`StepError::Conflict`] where there are too many.
    pub async fn save_view(&self, tx: &mut Tx, who: &AtWork, name: &str, query: &str) -> Step<()> {
        let name = name.trim();
        if !(1..=60).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(StepError::Invalid("Give the view a name of up to 60 characters."));
        }
        if query.is_empty() || query.len() > 2000 {
            return Err(StepError::Invalid(
                "Narrow the timeline first: then there is a view to save.",
            ));
        }
        for text in [name, query] {
            if self.secret_in(tx.conn(), text).await?.is_some() {
                return Err(StepError::Invalid(
                    "The view holds a secret, or something of the shape of one. It was not saved.",
                ));
            }
        }
        let views = saved_views::of(tx.conn(), &who.staff.id).await?;
        if views.len() >= MOST && views.iter().all(|v| v.name != name) {
            return Err(StepError::Conflict("You have 30 saved views: remove one first."));
        }
        let view = SavedView {
            id: self.new_id(),
            staff_id: who.staff.id.clone(),
            name: name.to_owned(),
            query: query.to_owned(),
            created_at: self.now(),
        };
        Ok(saved_views::save(tx, &view).await?)
    }

    /// Forgets a view of one's own.
    ///
    /// # Errors
    /// [`StepError::NotFound`] for one that is not there, or somebody else's.
    pub async fn remove_view(&self, tx: &mut Tx, who: &AtWork, id: &str) -> Step<()> {
        if saved_views::remove(tx, &who.staff.id, id).await? {
            Ok(())
        } else {
            Err(StepError::NotFound)
        }
    }
}
