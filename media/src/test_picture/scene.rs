//! What the picture shows: coloured bars, beneath them the time since it began in minutes and seconds, and
//! a block that walks to and fro. One colour a macroblock.

use super::PICTURES_PER_SECOND;

/// Macroblocks of a row: 320 pixels.
pub(super) const COLUMNS: u32 = 20;
/// Rows of macroblocks: 240 pixels.
pub(super) const ROWS: u32 = 15;

/// A colour as it is sent: luma and both differences, of ITU-R BT.601 in the range of television.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour {
    /// Luma.
    pub(super) y: u8,
    /// The difference of blue: even, as all that is coded in steps of two.
    pub(super) cb: u8,
    /// The difference of red, likewise.
    pub(super) cr: u8,
}

impl Colour {
    const fn new(y: u8, cb: u8, cr: u8) -> Self {
        Self { y, cb, cr }
    }

    /// What a decoder takes for the surroundings of a picture (ITU-T H.264 §8.3.3.3).
    pub(super) const GREY: Self = Self::new(128, 128, 128);
    /// Behind the time and the block.
    const BLACK: Self = Self::new(16, 128, 128);
    /// The time and the block.
    const WHITE: Self = Self::new(235, 128, 128);
    /// The second bar.
    const YELLOW: Self = Self::new(210, 16, 146);
    /// The third.
    const CYAN: Self = Self::new(170, 166, 16);
    /// The fourth, in the middle.
    const GREEN: Self = Self::new(145, 54, 34);
    /// The fifth.
    const MAGENTA: Self = Self::new(106, 202, 222);
    /// The sixth.
    const RED: Self = Self::new(81, 90, 240);
    /// The last.
    const BLUE: Self = Self::new(41, 240, 110);
}

/// From the brightest to the darkest, each with the column after its last.
const BARS: [(Colour, u32); 7] = [
    (Colour::WHITE, 3),
    (Colour::YELLOW, 6),
    (Colour::CYAN, 9),
    (Colour::GREEN, 11),
    (Colour::MAGENTA, 14),
    (Colour::RED, 17),
    (Colour::BLUE, COLUMNS),
];

/// The bars end before this row; nothing above it ever changes.
pub(super) const STILL_ROWS: u32 = 7;

/// The first row of the digits, and their places: minutes, tens of seconds, seconds.
const DIGITS_ROW: u32 = 8;
const DIGITS_COLUMNS: [u32; 3] = [3, 9, 13];
const COLON_COLUMN: u32 = 7;

/// Rows of a digit from the top, three bits each.
const DIGITS: [[u8; 5]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b001, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];

/// Where the block walks.
const WALK_ROW: u32 = ROWS - 1;
/// Steps from the left end to the right one.
const WALK_STEPS: u32 = COLUMNS - 1;

/// All that one picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scene {
    digits: [[u8; 5]; 3],
    walker: u32,
}

impl Scene {
    /// The picture of this number.
    pub(super) fn of(number: u32) -> Self {
        let seconds = number / PICTURES_PER_SECOND;
        let shown = [seconds / 60 % 10, seconds / 10 % 6, seconds % 10];
        let digit = |value: u32| DIGITS.get(value as usize).copied().unwrap_or_default();
        Self {
            digits: shown.map(digit),
            walker: walker(number),
        }
    }

    /// The colour of a macroblock.
    pub(super) fn colour(&self, column: u32, row: u32) -> Colour {
        if row < STILL_ROWS {
            let bar = BARS.iter().find(|(_, end)| column < *end);
            return bar.map_or(Colour::BLACK, |(colour, _)| *colour);
        }
        let is_lit = match row.checked_sub(DIGITS_ROW) {
            _ if row == WALK_ROW => column == self.walker,
            Some(line) => self.is_written(column, line),
            None => false,
        };
        if is_lit { Colour::WHITE } else { Colour::BLACK }
    }

    fn is_written(&self, column: u32, line: u32) -> bool {
        if column == COLON_COLUMN {
            return line == 1 || line == 3;
        }
        let mut places = DIGITS_COLUMNS.iter().zip(&self.digits);
        places.any(|(first, digit)| {
            let bits = digit.get(line as usize).copied().unwrap_or_default();
            let place = column.wrapping_sub(*first);
            place < 3 && bits >> (2 - place) & 1 == 1
        })
    }
}

/// Where the block is: a step a picture, to the right end and back.
const fn walker(number: u32) -> u32 {
    let step = number % (2 * WALK_STEPS);
    if step <= WALK_STEPS {
        step
    } else {
        2 * WALK_STEPS - step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(number: u32) -> Vec<String> {
        let scene = Scene::of(number);
        let place = |column, row| match scene.colour(column, row) {
            Colour::WHITE => '#',
            _ => '.',
        };
        let row = |row| (0..COLUMNS).map(|column| place(column, row)).collect();
        (STILL_ROWS..ROWS).map(row).collect()
    }

    #[test]
    fn beneath_the_bars_stand_minutes_and_seconds_and_a_block_walks() {
        let two_minutes_seven = 127 * PICTURES_PER_SECOND + 9;
        assert_eq!(
            drawn(two_minutes_seven),
            [
                "....................",
                "...###...###.###....",
                ".....#.#.#.#...#....",
                "...###...#.#...#....",
                "...#...#.#.#..#.....",
                "...###...###..#.....",
                "....................",
                ".............#......",
            ]
        );
    }

    #[test]
    fn each_picture_differs_from_the_one_before() {
        for number in 1..3_000 {
            assert_ne!(drawn(number), drawn(number - 1), "{number}");
        }
        let at = |number| drawn(number).pop().and_then(|row| row.find('#'));
        assert_eq!(
            [0, 1, 19, 20, 37, 38].map(at),
            [0, 1, 19, 18, 1, 0].map(Some)
        );
    }

    #[test]
    fn the_bars_stand_still_from_white_to_blue() {
        let bar = |column, number| Scene::of(number).colour(column, STILL_ROWS - 1);
        for number in [0, 17, 4_711] {
            let seen: Vec<Colour> = (0..COLUMNS).map(|column| bar(column, number)).collect();
            let mut bars = seen.clone();
            bars.dedup();
            assert_eq!(bars, BARS.map(|(colour, _)| colour));
            let brightness = bars.iter().map(|colour| colour.y);
            assert!(brightness.rev().is_sorted(), "the brightest stands first");
        }
    }
}
