//! The name patterns of the metadata commands.

#[cfg(test)]
mod tests;

/// A SQL `LIKE` pattern: `%` is any text, `_` is one character, `\` takes the next one literally.
///
/// Matching takes time in proportion to pattern times name at worst, whatever the pattern.
#[derive(Debug)]
pub(super) struct LikePattern(Vec<Item>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Char(char),
    One,
    Any,
}

impl LikePattern {
    /// Reads a pattern; every text is one.
    pub(super) fn new(pattern: &str) -> Self {
        let mut items = Vec::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            let item = match char {
                '%' => Item::Any,
                '_' => Item::One,
                '\\' => Item::Char(chars.next().unwrap_or('\\')),
                _ => Item::Char(char),
            };
            if item != Item::Any || items.last() != Some(&Item::Any) {
                items.push(item);
            }
        }
        Self(items)
    }

    /// Whether a name matches as a whole, case included.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut in_pattern) = (0, 0);
        // Where to go on after a mismatch: behind the last `%`, one character of the name later.
        let mut retry: Option<(usize, usize)> = None;
        while at < name.len() {
            let step = match self.0.get(in_pattern) {
                Some(Item::Any) => {
                    in_pattern += 1;
                    retry = Some((at, in_pattern));
                    continue;
                }
                Some(Item::One) => true,
                Some(Item::Char(char)) => name.get(at) == Some(char),
                None => false,
            };
            if step {
                at += 1;
                in_pattern += 1;
            } else if let Some((from, behind)) = retry {
                at = from + 1;
                in_pattern = behind;
                retry = Some((at, behind));
            } else {
                return false;
            }
        }
        self.0.get(in_pattern..).is_some_and(|rest| rest.iter().all(|item| *item == Item::Any))
    }
}

/// Whether a name matches an optional pattern; without one every name does.
pub(super) fn matches(pattern: Option<&LikePattern>, name: &str) -> bool {
    pattern.is_none_or(|pattern| pattern.matches(name))
}
