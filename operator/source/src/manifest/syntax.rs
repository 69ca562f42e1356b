//! The YAML parser's errors in words of a person who writes manifests.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::localizer::ExternalMessageSource;

use super::Position;
use super::node;

/// Why a document can't be read.
pub(super) struct Problem {
    pub(super) at: Option<Position>,
    pub(super) message: String,
}

/// Says what the parser found. Scalars of the document are never part of it.
pub(super) fn explain(error: &Error, lines_above: u32) -> Problem {
    let error = error.without_snippet();
    let at = error
        .location()
        .filter(|location| location.line() > 0)
        .map(|location| node::position(location, lines_above));
    Problem { at, message: message(error) }
}

fn message(error: &Error) -> String {
    match error {
        Error::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(scan) => parser_message(scan.kind()),
            _ => "the YAML can't be read".to_owned(),
        },
        // Only this crate's own visitor makes free messages.
        Error::Message { msg, .. } if msg == node::NUMBER_TOO_LARGE => msg.clone(),
        Error::AliasError { error, .. } => message(error),
        Error::Budget { breach, .. } => budget_message(breach),
        other => fixed_message(other).to_owned(),
    }
}

fn fixed_message(error: &Error) -> &'static str {
    match error {
        Error::Eof { .. } => "the document ends too early",
        Error::MultipleDocuments { .. } => {
            "text after the end of the document; separate documents by a line with ---"
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => ALIASES_GROW,
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias (*name) that holds itself",
        Error::UnknownAnchor { .. } => UNKNOWN_ANCHOR,
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            "what is merged with << must be a mapping or a list of mappings"
        }
        Error::NonFiniteFloat { .. } => {
            "not a finite number (.nan, .inf or too large); quote it if it is meant as text"
        }
        Error::InvalidScalar { .. } | Error::TaggedScalarCannotDeserializeIntoString { .. } => {
            "the value doesn't fit its tag"
        }
        Error::InvalidBinaryBase64 { .. } => "!!binary must hold base64",
        Error::BinaryNotUtf8 { .. } => {
            "!!binary holds bytes that are no UTF-8 text; Kubernetes keeps those as base64 text"
        }
        Error::UnsupportedTag { .. } => "a tag (!name) that has no meaning in a manifest",
        Error::NullIntoString { .. } => "an empty key; quote it if it is meant",
        Error::Unexpected { .. }
        | Error::UnexpectedContainerEndWhileReadingKeyNode { .. }
        | Error::ExpectedStringKeyForExternallyTaggedEnum { .. } => {
            "a key must be a plain name, not a list or a mapping; text that begins with { or [ \
             needs quotes"
        }
        Error::FoldedBlockScalarMustIndentContent { .. } => {
            "the lines of a text block (> or |) must be indented deeper than its key"
        }
        _ => "the YAML can't be read",
    }
}

const ALIASES_GROW: &str =
    "the document's aliases (*name) grow beyond what a manifest may hold; write it out";
const UNKNOWN_ANCHOR: &str = "an alias (*name) to an anchor (&name) that this document doesn't \
     have; text that begins with * needs quotes";

fn budget_message(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => "the document is nested too deeply".to_owned(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. }
        | BudgetBreach::MergeKeys { .. } => ALIASES_GROW.to_owned(),
        _ => "the document is too large, its aliases (*name) written out; split it".to_owned(),
    }
}

/// Words for the errors that people make, the parser's own for the rest (they are
/// fixed texts, but for single characters of YAML's syntax).
fn parser_message(kind: &ErrorKind) -> String {
    use ErrorKind as K;
    let text = match kind {
        K::UnclosedQuotedScalar | K::DocumentIndicatorInQuotedScalar => {
            "a quote is opened here and never closed"
        }
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabAtBlockScalarStart
        | K::TabInPlainScalar => "a tab where YAML wants spaces; indent with spaces only",
        K::InvalidIndentation | K::InvalidBlockScalarIndent | K::InvalidFlowScalarIndent => {
            "the indentation fits no line above"
        }
        K::MappingValueNotAllowed => {
            "a second \": \" on this line; a value that holds one needs quotes, and a \
             mapping in a mapping a line of its own"
        }
        K::MappingKeyNotAllowed => "a key can't stand here; is the line above it complete?",
        K::SimpleKeyExpected => {
            "a line that is neither \"key: value\" nor part of the text above; \
             is a colon missing, or is its indentation wrong?"
        }
        K::ExpectedBlockMappingKey | K::InvalidSimpleKey => {
            "expected a \"key: value\" here; check the indentation of this line and the one above"
        }
        K::BlockSequenceEntryNotAllowed
        | K::ExpectedBlockSequenceEntry
        | K::BlockEntryInFlowCollection
        | K::InvalidBlockEntryWhitespace => {
            "a list item (\"- \") can't stand here; check the indentation"
        }
        K::UnexpectedEofFlowSequence
        | K::ExpectedFlowSequenceSeparator
        | K::UnclosedFlowCollection { open: '[' } => {
            "the list in [ ] is not closed, or a comma is missing"
        }
        K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping
        | K::ExpectedFlowMappingSeparator
        | K::UnclosedFlowCollection { .. } => {
            "the mapping in { } is not closed, or a comma is missing"
        }
        K::InvalidColonPlacement => {
            "a \":\" can't stand here; is a [ or { above not closed, or does a value need quotes?"
        }
        K::MisplacedFlowCollectionEnd | K::MismatchedFlowCollectionEnd { .. } => {
            "a closing bracket that fits no open one"
        }
        K::UnknownAnchor => UNKNOWN_ANCHOR,
        K::MissingAnchorOrAliasName => {
            "& and * name anchors in YAML; text that begins with one needs quotes"
        }
        K::UndeclaredTagHandle | K::ExpectedTagBang | K::MissingTagUri => {
            "! begins a tag in YAML; text that begins with it needs quotes"
        }
        K::UnexpectedCharacter { character } => {
            return format!(
                "text can't begin with {}; quote the value",
                character.escape_default()
            );
        }
        K::InvalidTrailingSingleQuotedScalar | K::InvalidTrailingDoubleQuotedScalar => {
            "text after the closing quote; put the quotes around the whole value"
        }
        K::UnknownQuotedScalarEscape => {
            "a backslash that begins no known escape; write \\\\ or use single quotes"
        }
        K::CommentNotSeparated => "a comment needs a space before its #",
        K::RecursionLimitExceeded => "the document is nested too deeply",
        K::UnexpectedEof | K::UnexpectedEofBlockSequence | K::UnexpectedEofBlockMapping => {
            "the document ends too early"
        }
        other => return other.to_string(),
    };
    text.to_owned()
}
