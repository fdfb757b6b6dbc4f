//! PostgreSQL's array literals: `{1,NULL,"a b",{…}}`.
//!
//! Source: PostgreSQL documentation, "Array Input and Output Syntax".

/// Deeper nesting than PostgreSQL's limit of 6 dimensions is not an array.
const DEPTH_MAX: usize = 8;

/// A value inside of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Null,
    Text(String),
    Array(Vec<Item>),
}

/// Reads an array literal; nothing when the text is none.
pub(super) fn parse(text: &str) -> Option<Vec<Item>> {
    // Bounds other than 1 stand in front: `[0:1]={a,b}`.
    let body = match text.strip_prefix('[') {
        Some(_) => text.split_once('=')?.1,
        None => text,
    };
    let mut rest = body;
    let items = array(&mut rest, 0)?;
    rest.is_empty().then_some(items)
}

fn array(rest: &mut &str, depth: usize) -> Option<Vec<Item>> {
    *rest = rest.strip_prefix('{')?;
    let mut items = Vec::new();
    if depth >= DEPTH_MAX {
        return None;
    }
    if let Some(tail) = rest.strip_prefix('}') {
        *rest = tail;
        return Some(items);
    }
    loop {
        items.push(item(rest, depth)?);
        let mut chars = rest.chars();
        let separator = chars.next()?;
        *rest = chars.as_str();
        match separator {
            ',' => {}
            '}' => return Some(items),
            _ => return None,
        }
    }
}

fn item(rest: &mut &str, depth: usize) -> Option<Item> {
    if rest.starts_with('{') {
        return array(rest, depth + 1).map(Item::Array);
    }
    let mut text = String::new();
    let quoted = rest.starts_with('"');
    let mut chars = rest.chars();
    if quoted {
        chars.next();
    }
    loop {
        let before = chars.as_str();
        match chars.next()? {
            '\\' => text.push(chars.next()?),
            '"' if quoted => break,
            ',' | '}' if !quoted => {
                chars = before.chars();
                break;
            }
            c => text.push(c),
        }
    }
    *rest = chars.as_str();
    Some(if !quoted && text == "NULL" { Item::Null } else { Item::Text(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Item {
        Item::Text(value.to_owned())
    }

    #[test]
    fn literals() {
        assert_eq!(parse("{}"), Some(vec![]));
        assert_eq!(parse("{1,NULL,\"NULL\"}"), Some(vec![text("1"), Item::Null, text("NULL")]));
        assert_eq!(parse(r#"{"a\"b,}",x}"#), Some(vec![text("a\"b,}"), text("x")]));
        assert_eq!(
            parse("{{1},{2}}"),
            Some(vec![Item::Array(vec![text("1")]), Item::Array(vec![text("2")])])
        );
        assert_eq!(parse("[0:0]={7}"), Some(vec![text("7")]));
        for wrong in ["", "{", "{1", "1", "{1}x", "{{{{{{{{{{1}}}}}}}}}}"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
