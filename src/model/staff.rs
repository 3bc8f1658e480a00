//! The platform's own people.

crate::model::words! {
    /// What a member of staff may do.
    StaffRole("staff role") {
        /// Carries the procedure out.
        PlatformAdmin = "platform_admin" => "Platform admin",
        /// Reads everything that is audit, and changes nothing.
        Auditor = "auditor" => "Auditor",
    }
}
