//! What is live in the browser. Each island has plain text, a link or a form beneath it that does
//! the work without it.

mod countdown;
mod evidence;
mod helpers;
mod live_rows;
mod palette;
mod progress;

pub use countdown::Countdown;
pub use evidence::CheckEvidence;
pub use helpers::Helpers;
pub use live_rows::{LiveRow, LiveRows};
pub use palette::{Palette, Place};
pub use progress::{Far, Progress};
