//! What tests share: databases of both engines, a desk with a clock that can be moved, and the
//! people and orgs of the stories.
