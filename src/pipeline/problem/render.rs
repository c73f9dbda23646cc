//! Problems for people: message, place, source line, caret, hint.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::problem::Problem;
use super::source::{Sources, Span};
use crate::base::cut::visible_line;
use crate::base::paint::{Colour, Painted};

/// The most problems that are shown; a file with more has one cause or is not a pipeline.
const SHOWN: usize = 50;

/// Writes problems for people.
pub(in crate::pipeline) fn problems(
    sources: &Sources,
    problems: &[Problem],
    width: usize,
) -> Painted {
    let mut text = Painted::default();
    for (index, problem) in problems.iter().take(SHOWN).enumerate() {
        if index > 0 {
            text.push("\n");
        }
        text.extend(one(sources, problem, width));
    }
    if problems.len() > SHOWN {
        text.push(format!("\n... and {} more problems\n", problems.len() - SHOWN));
    }
    text
}

fn one(sources: &Sources, problem: &Problem, width: usize) -> Painted {
    let mut text = wrapped(Colour::Red, "error:", &problem.message, width);
    if let Some(span) = problem.span {
        text.extend(excerpt(sources, span, width));
    }
    if let Some((what, place)) = problem.note {
        let note = format!("{what} {}", sources.place(place));
        text.extend(wrapped(Colour::Bold, "note:", &note, width));
    }
    if let Some(hint) = &problem.hint {
        text.extend(wrapped(Colour::Cyan, "hint:", hint, width));
    }
    text
}

/// Writes the place, the line of the source and the caret below it.
fn excerpt(sources: &Sources, span: Span, width: usize) -> Painted {
    let whole = sources.text(span);
    let location = sources.location(span);
    let (place, number, prefix) = if span.origin == 0 {
        (
            format!("{}:{}:{}", sources.path().display(), location.line, location.column),
            location.line.to_string(),
            "",
        )
    } else {
        ("the command line".to_owned(), String::new(), sources.option(span))
    };
    let gutter = number.width();
    let line_start =
        whole[..whole.floor_char_boundary(span.start)].rfind('\n').map_or(0, |at| at + 1);
    let line = whole[line_start..].split(['\n', '\r']).next().unwrap_or("");
    let from = span.start.saturating_sub(line_start).min(line.len());
    let to = span.end.saturating_sub(line_start).clamp(from, line.len());
    let to = from + line[from..to].trim_end().len();
    let (line, from, to) = (format!("{prefix}{line}"), from + prefix.len(), to + prefix.len());
    let (line, before, carets) = crop(&line, from, to, width.saturating_sub(gutter + 3));
    let mut text = Painted::plain(" ".repeat(gutter));
    text.paint(Colour::Blue, "-->");
    text.push(format!(" {}\n{:gutter$} ", visible_line(&place), ""));
    text.paint(Colour::Blue, "|");
    text.push("\n");
    text.paint(Colour::Blue, number);
    text.push(" ");
    text.paint(Colour::Blue, "|");
    text.push(format!(" {line}\n{:gutter$} ", ""));
    text.paint(Colour::Blue, "|");
    text.push(format!(" {:before$}", ""));
    text.paint(Colour::Red, "^".repeat(carets));
    text.push("\n");
    text
}

/// Cuts a line to the available columns around the mark. Returns it with the number of columns
/// before the mark and of the mark.
fn crop(line: &str, from: usize, to: usize, width: usize) -> (String, usize, usize) {
    /// Fewer columns would show nothing useful.
    const LEAST: usize = 20;
    let width = width.max(LEAST);
    // (byte, character as shown, columns)
    let cells: Vec<(usize, char, usize)> = line
        .char_indices()
        .flat_map(|(at, c)| match c {
            '\t' => vec![(at, ' ', 1); 4],
            '\u{feff}' => Vec::new(),
            // Without its neighbours, what joins letters is shown too.
            c => visible_line(c.encode_utf8(&mut [0; 4]))
                .chars()
                .map(|c| (at, c, c.width().unwrap_or(0)))
                .collect(),
        })
        .collect();
    let columns =
        |cells: &[(usize, char, usize)]| cells.iter().map(|(_, _, columns)| columns).sum::<usize>();
    let mark = cells.partition_point(|(at, ..)| *at < from);
    let mark_end = cells.partition_point(|(at, ..)| *at < to).max(mark);
    let mut first = 0;
    if columns(&cells) > width {
        // A third of the columns is for the text before the mark.
        let mut left = width / 3;
        first = mark;
        while first > 0 && cells[first - 1].2 <= left {
            first -= 1;
            left -= cells[first].2;
        }
    }
    let mut room = width - usize::from(first > 0);
    let mut last = first;
    while last < cells.len() && cells[last].2 <= room {
        room -= cells[last].2;
        last += 1;
    }
    let cut_right = last < cells.len();
    if cut_right && last > first {
        last -= 1;
    }
    let mut shown = String::new();
    if first > 0 {
        shown.push('…');
    }
    shown.extend(cells[first..last].iter().map(|(_, c, _)| *c));
    let shown = if cut_right { shown + "…" } else { shown.trim_end().to_owned() };
    let before = usize::from(first > 0) + columns(&cells[first..mark.clamp(first, last)]);
    let carets = columns(&cells[mark.clamp(first, last)..mark_end.clamp(first, last)]).max(1);
    (shown, before, carets)
}

/// Writes a text after its label, wrapped between words, with further lines indented.
fn wrapped(colour: Colour, label: &str, text: &str, width: usize) -> Painted {
    let indent = label.width() + 1;
    let mut out = String::new();
    let mut column = indent - 1;
    for (index, word) in visible_line(text).split(' ').enumerate() {
        if index > 0 && column + 1 + word.width() > width {
            out += &format!("\n{:indent$}{word}", "");
            column = indent + word.width();
        } else {
            out.push(' ');
            out.push_str(word);
            column += 1 + word.width();
        }
    }
    out.push('\n');
    let mut painted = Painted::default();
    painted.paint(colour, label);
    painted.push(out);
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}MARK{}", "a".repeat(100), "b".repeat(100));
        let (shown, before, carets) = crop(&line, 100, 104, 40);
        assert_eq!(shown.width(), 40);
        assert_eq!((shown.chars().skip(before).take(carets).collect::<String>()).as_str(), "MARK");
        let (shown, before, carets) = crop("short: 数字 x", 7, 13, 40);
        assert_eq!((shown.as_str(), before, carets), ("short: 数字 x", 7, 4));
    }

    #[test]
    fn wraps_between_words() {
        let text = wrapped(Colour::Cyan, "hint:", "one two three", 13).text(false);
        assert_eq!(text, "hint: one two\n      three\n");
        // The first word of a further line is shown like any other.
        let text = wrapped(Colour::Cyan, "hint:", "one two \x1b[31m\n", 13).text(true);
        assert_eq!(text, "\x1b[1;36mhint:\x1b[0m one two\n      \\u{1b}[31m\\n\n");
    }

    #[test]
    fn controls_and_tabs_do_not_reach_the_terminal() {
        let (shown, before, carets) = crop("\tk: \x1b[31m", 4, 5, 80);
        assert_eq!((shown.as_str(), before, carets), ("    k: \\u{1b}[31m", 7, 6));
    }
}
