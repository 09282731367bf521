//! The room versions that this server creates and serves.

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

/// A room version together with its rules. Cheap to copy: the rules are static.
#[derive(Clone, Copy, Debug)]
pub struct RoomVersion {
    name: &'static str,
    pub rules: &'static RoomVersionRules,
}

static V10: RoomVersionRules = RoomVersionRules::V10;
static V11: RoomVersionRules = RoomVersionRules::V11;
static V12: RoomVersionRules = RoomVersionRules::V12;

static SUPPORTED: [RoomVersion; 3] = [
    RoomVersion { name: "10", rules: &V10 },
    RoomVersion { name: "11", rules: &V11 },
    RoomVersion { name: "12", rules: &V12 },
];

impl RoomVersion {
    /// What `createRoom` makes when the client does not say.
    pub const DEFAULT: &'static str = "12";

    /// None: this server does not know the version, or offers no rooms of it.
    pub fn find(name: &str) -> Option<Self> {
        SUPPORTED.iter().find(|version| version.name == name).copied()
    }

    pub fn supported() -> impl Iterator<Item = Self> {
        SUPPORTED.iter().copied()
    }

    pub fn as_str(&self) -> &'static str {
        self.name
    }

    pub fn id(&self) -> RoomVersionId {
        RoomVersionId::try_from(self.name).expect("every supported version is a valid id")
    }

    /// The room id is the hash of the create event (since room version 12).
    pub fn room_id_is_create_hash(&self) -> bool {
        self.rules.authorization.room_create_event_id_as_room_id
    }

    /// Creators stand above all power levels (since room version 12).
    pub fn privileges_creators(&self) -> bool {
        self.rules.authorization.explicitly_privilege_room_creators
    }

    /// `redacts` is a member of a redaction's content (since room version 11).
    pub fn redacts_in_content(&self) -> bool {
        self.rules.redaction.content_field_redacts
    }
}

impl PartialEq for RoomVersion {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for RoomVersion {}
