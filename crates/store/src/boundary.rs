//! Commit boundaries: the places where something becomes durable, by name, so that a kill can be aimed at each.
//!
//! The compiler keeps the list whole: a transaction cannot commit without a name, and a name that nobody commits
//! under is dead code. What it cannot see, a test holds: that no two places share a name, and that a statement
//! which writes outside a transaction goes through [`durable`] too.

#[cfg(feature = "failpoints")]
use crate::failpoint::{Side, pass};

macro_rules! boundaries {
    ($($boundary:ident = $name:literal,)+) => {
        /// Where something becomes durable; called like the method of the store.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Boundary {
            $(#[doc = concat!("`", $name, "`")] $boundary,)+
        }

        #[cfg(feature = "failpoints")]
        impl Boundary {
            pub(crate) const NAMES: &[&str] = &[$($name),+];

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$boundary => $name,)+
                }
            }
        }
    };
}

boundaries! {
    Migrate = "migrate",
    TakeFirstLease = "take_first_lease",
    TakeOverLease = "take_over_lease",
    KeepLease = "keep_lease",
    ReleaseLease = "release_lease",
    RegisterFeed = "register_feed",
    SetConfiguration = "set_configuration",
    NoteRefusal = "note_refusal",
    BlockFeed = "block_feed",
    UnblockFeed = "unblock_feed",
    PauseFeed = "pause_feed",
    ResumeFeed = "resume_feed",
    NoteClockSkew = "note_clock_skew",
    TurnOffResource = "turn_off_resource",
    TurnOnResource = "turn_on_resource",
    TurnOffExpansion = "turn_off_expansion",
    TurnOnExpansion = "turn_on_expansion",
    SetPaging = "set_paging",
    SetKeyForm = "set_key_form",
    NoteCountGap = "note_count_gap",
    NoteEmptySweep = "note_empty_sweep",
    SaveCheckpoint = "save_checkpoint",
    SetDue = "set_due",
    BeginRun = "begin_run",
    EndRun = "end_run",
    CommitPage = "commit_page",
    CommitRelations = "commit_relations",
    WakeRelationsAfterSweep = "wake_relations_after_sweep",
    WakeUnstampedRelations = "wake_unstamped_relations",
    BeginSweep = "begin_sweep",
    BeginSweepAgain = "begin_sweep_again",
    StageKeys = "stage_keys",
    FinishSweep = "finish_sweep",
    SavePlan = "save_plan",
    SavePlanNot = "save_plan_not",
    ApprovePlan = "approve_plan",
    ExecutePurge = "execute_purge",
    AddRereads = "add_rereads",
    SettleRereads = "settle_rereads",
    PutAway = "put_away",
    ReceiveEvents = "receive_events",
    SettleEvents = "settle_events",
    RefillColumns = "refill_columns",
    RefillColumnsNot = "refill_columns_not",
    ReserveRequests = "reserve_requests",
    SilenceRequests = "silence_requests",
    NoteRequestKey = "note_request_key",
    SignIn = "sign_in",
    ClaimOauthRefresh = "claim_oauth_refresh",
    ReleaseOauthRefresh = "release_oauth_refresh",
    RotateOauthToken = "rotate_oauth_token",
    RefuseOauthToken = "refuse_oauth_token",
    ForgetOauthToken = "forget_oauth_token",
    SubmitRequest = "submit_request",
    TakeRequests = "take_requests",
    FinishRequest = "finish_request",
    SaveMetadata = "save_metadata",
}

/// Runs the statement that makes something durable.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn durable<F: Future>(_: Boundary, statement: F) -> F {
    statement
}

/// Runs the statement that makes something durable, between its two failpoints. The second is passed only if
/// the statement succeeded.
#[cfg(feature = "failpoints")]
pub(crate) async fn durable<T, E>(
    boundary: Boundary,
    statement: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    pass(boundary, Side::Before);
    let answer = statement.await?;
    pass(boundary, Side::After);
    Ok(answer)
}
