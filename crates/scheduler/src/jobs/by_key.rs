//! Reads records by their keys.
//!
//! `in (...)` is the cheap form, but a server may refuse it, ignore it or misread it; then the answer holds a
//! key that nobody asked for, or lacks one that surely exists (the control key). The next form is tried then,
//! and remembered for the resource. Before that, `$select` is left out: a server refuses the whole question
//! for one field that it does not know; so it does for one relation, and for one key that it does not take for
//! one. Which of these it was is found out with the first key alone.

use std::collections::{HashSet, VecDeque};

use spark_domain::job::Priority;
use spark_domain::plan::purge::{Confirmation, read_confirmation};
use spark_domain::walk::{Paging, Position};
use spark_domain::{Filter, KeyListForm, MediaPart, Page, Query, RecordKey, Recovery, Relation, Resource};
use spark_fetcher::{Error as FeedError, PageRequest};

use crate::context::FeedContext;
use crate::error::{JobError, chain};

/// What to ask of each key.
#[derive(Clone, Copy)]
pub(crate) struct KeyQuestion<'a> {
    pub(crate) resource: Resource,
    pub(crate) select: &'a [&'static str],
    pub(crate) expand: &'a [Relation],
    /// Parts of `Media` that are left out of it.
    pub(crate) omit: &'a [MediaPart],
    /// A key that surely exists, asked for along with each list; nothing is asked of its record.
    pub(crate) control: Option<&'a RecordKey>,
    /// Whether no record at all is an answer, too: where nothing follows from it, no other form need be tried.
    pub(crate) may_be_silent: bool,
    pub(crate) priority: Priority,
}

impl KeyQuestion<'_> {
    /// Asks for whole records, without relations.
    pub(crate) const fn records(resource: Resource, priority: Priority) -> Self {
        Self { resource, select: &[], expand: &[], omit: &[], control: None, may_be_silent: false, priority }
    }
}

/// How far a list of keys was understood.
pub(crate) enum KeyAnswer {
    /// The pages hold what exists of the first `asked` keys.
    Pages { asked: usize, pages: Vec<Page> },
    /// No form was understood.
    Misread { asked: usize },
    /// The feed cannot deliver the first of the keys (Spark 1026, 1515, no answer in time), or refuses it in every form,
    /// alone: the caller goes on without it.
    Undeliverable { why: String },
}

/// What one form of a question came to.
enum Asked {
    Pages(Vec<Page>),
    Misread,
    Refused(FeedError),
}

/// Reads as many of the leading keys as one request takes. An error of a refusal is about the relations: without
/// them the question is answered.
pub(crate) async fn read(
    context: &FeedContext,
    question: &KeyQuestion<'_>,
    keys: &[RecordKey],
    preferred: KeyListForm,
) -> Result<KeyAnswer, JobError> {
    let mut form = preferred;
    let mut most = keys.len();
    let mut plain = KeyQuestion { select: &[], ..*question };
    if context.selects(question.resource) {
        plain.select = question.select;
    }
    let question = &mut plain;
    loop {
        let fits = context.fetcher.keys_that_fit(&query(question, Vec::new(), form), &keys[..most]);
        // A list longer than a page is cut by a server that takes `$top` for the limit of its whole answer, and what was
        // cut off would look gone.
        let fits = fits.min(context.settings.fetcher.page_size as usize);
        // The control key takes a place in the list, too.
        let asked = fits.saturating_sub(usize::from(question.control.is_some())).clamp(1, most.max(1));
        match ask(context, question, &keys[..asked], form).await {
            Ok(Asked::Pages(pages)) => {
                // A form is proved by an answer with records; nothing answers in every language.
                if form != preferred && pages.iter().any(|page| !page.is_empty()) {
                    remember(context, question.resource, form).await?;
                }
                return Ok(KeyAnswer::Pages { asked, pages });
            }
            Ok(Asked::Refused(_)) if asked > 1 => most = asked / 2,
            Ok(Asked::Refused(error)) => {
                let plain = KeyQuestion { select: &[], ..*question };
                if question.select.len() > 1 && is_answered(context, &plain, &keys[0], form).await? {
                    leave_out_select(context, question);
                    most = keys.len();
                    continue;
                }
                let bare = KeyQuestion { expand: &[], ..plain };
                if !question.expand.is_empty() && is_answered(context, &bare, &keys[0], form).await? {
                    if form != preferred {
                        remember(context, question.resource, form).await?;
                    }
                    return Err(error.into());
                }
                let Some(next) = form.next() else {
                    return Ok(if another_is_answered(context, question, keys, preferred).await? {
                        tracing::warn!(key = %keys[0], error = chain(&error), "the feed refuses this key");
                        KeyAnswer::Undeliverable { why: chain(&error) }
                    } else {
                        KeyAnswer::Misread { asked: 1 }
                    });
                };
                tracing::debug!(?form, ?next, error = chain(&error), "the key is refused in this form");
                (form, most) = (next, keys.len());
            }
            Ok(Asked::Misread) if question.select.len() > 1 => leave_out_select(context, question),
            Ok(Asked::Misread) => match form.next() {
                Some(next) => {
                    tracing::warn!(?form, ?next, "the feed misreads this form of key list; trying the next");
                    form = next;
                }
                None => return Ok(KeyAnswer::Misread { asked }),
            },
            Err(JobError::Feed(error)) if error.recovery() == Recovery::Shrink && asked > 1 => {
                most = asked / 2;
            }
            Err(JobError::Feed(error)) if error.recovery() == Recovery::Shrink => {
                // A feed that answers nothing at all is no fault of this record's.
                let silent = matches!(error, FeedError::TooSlow { .. });
                if silent && !another_is_answered(context, question, keys, preferred).await? {
                    return Err(error.into());
                }
                tracing::warn!(key = %keys[0], error = chain(&error), "the feed cannot deliver this record");
                return Ok(KeyAnswer::Undeliverable { why: chain(&error) });
            }
            Err(error) => return Err(error),
        }
    }
}

fn leave_out_select(context: &FeedContext, question: &mut KeyQuestion<'_>) {
    tracing::info!(fields = ?question.select, "the feed refuses $select of these; whole records are asked for");
    context.select_no_more(question.resource);
    question.select = &[];
}

/// Whether the feed understands a question for one key.
async fn is_answered(
    context: &FeedContext,
    question: &KeyQuestion<'_>,
    key: &RecordKey,
    form: KeyListForm,
) -> Result<bool, JobError> {
    let question = KeyQuestion { may_be_silent: true, ..*question };
    let asked = ask(context, &question, std::slice::from_ref(key), form).await?;
    Ok(matches!(asked, Asked::Pages(_)))
}

/// Whether the feed answers for some other key, in whatever form: then the first one is at fault.
async fn another_is_answered(
    context: &FeedContext,
    question: &KeyQuestion<'_>,
    keys: &[RecordKey],
    preferred: KeyListForm,
) -> Result<bool, JobError> {
    let bare = KeyQuestion { select: &[], expand: &[], omit: &[], control: None, ..*question };
    let held = crate::persist!(context, context.store.last_key(context.feed(), question.resource))?;
    let others = [question.control, held.as_ref(), keys.last()];
    let others_of = [KeyListForm::In, KeyListForm::EqOr, KeyListForm::Single];
    let others_of = others_of.into_iter().filter(|form| *form != preferred);
    let forms: Vec<KeyListForm> = std::iter::once(preferred).chain(others_of).collect();
    for other in others.into_iter().flatten().filter(|other| **other != keys[0]) {
        for form in &forms {
            match is_answered(context, &bare, other, *form).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(JobError::Feed(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(false)
}

/// Asks in one form.
async fn ask(
    context: &FeedContext,
    question: &KeyQuestion<'_>,
    keys: &[RecordKey],
    form: KeyListForm,
) -> Result<Asked, JobError> {
    let asked: Vec<RecordKey> = keys.iter().chain(question.control).cloned().collect();
    let lists: Vec<Vec<RecordKey>> = match form {
        KeyListForm::Single => asked.iter().map(|key| vec![key.clone()]).collect(),
        KeyListForm::In | KeyListForm::EqOr => vec![asked],
    };
    let (mut pages, mut answered) = (Vec::new(), Vec::new());
    let mut lists = VecDeque::from(lists);
    while let Some(list) = lists.pop_front() {
        let before = answered.len();
        let known: HashSet<&RecordKey> = list.iter().collect();
        let top = u32::try_from(list.len()).unwrap_or(u32::MAX);
        let query = query(question, list.clone(), form);
        let mut position = Position::Start;
        loop {
            let request = PageRequest { query: &query, position: &position, paging: Paging::NextLink, top };
            let mut page = match context.ask(&request, question.priority).await {
                Ok(page) => page,
                Err(JobError::Feed(error)) if is_refusal(&error) => {
                    context.doubt_metadata(question.resource, &error).await?;
                    return Ok(Asked::Refused(error));
                }
                Err(error) => return Err(error),
            };
            let found = context.read(&page, question.resource).keys;
            // A filter that is ignored would lead through the whole collection.
            if found.iter().any(|key| !known.contains(key)) {
                return Ok(Asked::Misread);
            }
            answered.extend(found);
            let next = page.head.next.clone();
            if next.is_some() || form == KeyListForm::Single {
                page.give_back();
            }
            pages.push(page);
            match next {
                // A page of ten with a link is still an answer; only its end is the end.
                Some(link) if position != Position::Link(link.clone()) => position = Position::Link(link),
                Some(_) => return Ok(Asked::Misread),
                None => break,
            }
        }
        match left_over(&list, &answered[before..], question.control) {
            _ if form == KeyListForm::Single => {}
            LeftOver::Nothing => {}
            LeftOver::Keys(rest) => {
                // The next list must be asked for while these are held.
                pages.iter_mut().for_each(Page::give_back);
                lists.push_back(rest);
            }
            LeftOver::Unknown => return Ok(Asked::Misread),
        }
    }
    let doubtful = question.control.is_none() && !question.may_be_silent && form != KeyListForm::Single;
    if answered.is_empty() && doubtful {
        // None of many keys that we hold, and no control to tell silence from misunderstanding.
        return Ok(Asked::Misread);
    }
    match read_confirmation(keys, question.control, &answered) {
        Confirmation::Understood { .. } => Ok(Asked::Pages(pages)),
        Confirmation::Misread => Ok(Asked::Misread),
    }
}

/// What of a list is still to be asked for.
#[derive(Debug, PartialEq, Eq)]
enum LeftOver {
    Nothing,
    /// The server may have cut these off, since it answered for others: a page has a size of the server's own.
    Keys(Vec<RecordKey>),
    /// The control key did not come, and nothing says why.
    Unknown,
}

/// Holds an answer against its list. Keys that are silent are gone only by an answer of their own, with its control.
fn left_over(list: &[RecordKey], answered: &[RecordKey], control: Option<&RecordKey>) -> LeftOver {
    let answered: HashSet<&RecordKey> = answered.iter().collect();
    let of_ours = |key: &&RecordKey| Some(*key) != control;
    let mut rest: Vec<RecordKey> =
        list.iter().filter(of_ours).filter(|key| !answered.contains(key)).cloned().collect();
    let some = answered.iter().any(of_ours);
    let control_came = control.is_none_or(|control| answered.contains(control));
    match (some, rest.is_empty(), control_came) {
        (true, true, true) | (false, _, true) => LeftOver::Nothing,
        (true, false, _) | (true, true, false) => {
            rest.extend(control.cloned());
            LeftOver::Keys(rest)
        }
        (false, _, false) => LeftOver::Unknown,
    }
}

/// Whether the question is refused, and not the resource (Spark 1500).
fn is_refusal(error: &FeedError) -> bool {
    match error {
        FeedError::KeyListRefused(_) => true,
        FeedError::NotOffered(exchange) => exchange.code != Some(1500),
        _ => false,
    }
}

fn query(question: &KeyQuestion<'_>, keys: Vec<RecordKey>, form: KeyListForm) -> Query {
    Query {
        resource: question.resource,
        filter: Filter::Keys(keys, form),
        select: question.select.to_vec(),
        expand: question.expand.to_vec(),
        omit: question.omit.to_vec(),
        count: false,
    }
}

/// The form that a resource's keys are asked for in.
pub(crate) async fn preferred_form(
    context: &FeedContext,
    resource: Resource,
) -> Result<KeyListForm, JobError> {
    let resources = crate::persist!(context, context.store.resources(context.feed()))?;
    let known = resources.into_iter().find(|state| state.resource == resource);
    Ok(known.and_then(|state| state.key_form).unwrap_or(KeyListForm::In))
}

async fn remember(context: &FeedContext, resource: Resource, form: KeyListForm) -> Result<(), JobError> {
    crate::persist!(context, context.store.set_key_form(&context.lease, resource, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &str) -> Vec<RecordKey> {
        names.split_whitespace().map(|name| RecordKey::new(name).unwrap()).collect()
    }

    #[test]
    fn what_is_silent_beside_keys_that_answer_is_asked_for_again_with_the_control() {
        let control = &keys("z")[0];
        let of = |list: &str, answered: &str| left_over(&keys(list), &keys(answered), Some(control));
        assert_eq!(of("a b c z", "a z"), LeftOver::Keys(keys("b c z")));
        assert_eq!(of("a b c z", "a b"), LeftOver::Keys(keys("c z")), "the control was cut off as well");
        assert_eq!(of("a b c z", "a b c"), LeftOver::Keys(keys("z")), "the control alone");
        assert_eq!(of("a b c z", "a b c z"), LeftOver::Nothing);
        assert_eq!(of("b c z", "z"), LeftOver::Nothing, "they are gone");
        assert_eq!(of("b c z", ""), LeftOver::Unknown, "an empty answer says nothing");
        assert_eq!(of("z", ""), LeftOver::Unknown);
        assert_eq!(left_over(&keys("a b"), &keys("a"), None), LeftOver::Keys(keys("b")));
        assert_eq!(left_over(&keys("b"), &[], None), LeftOver::Nothing);
    }
}
