//! Meetings with the real programs that users have, short enough for every `make test`. Each
//! starts what it needs on a free port; none is skipped where something is missing.

mod openbao;
mod openbao_equal;
mod openbao_words;
mod openpgp;
