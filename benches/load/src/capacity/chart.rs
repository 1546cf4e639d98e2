//! A line chart as SVG text: axes with round numbers, one line a series, a hint at each point.

/// One line of a chart.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: String,
    /// Which of the page's colours.
    pub(super) colour: usize,
    /// Dashes tell lines of one colour apart.
    pub(super) dashed: bool,
    pub(super) points: Vec<(f64, f64)>,
}

/// What a chart shows.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    /// The vertical axis by powers of ten.
    pub(super) by_decades: bool,
    /// Marks of the horizontal axis; none: round numbers.
    pub(super) x_marks: Vec<(f64, String)>,
    pub(super) lines: Vec<Line>,
}

impl Chart<'_> {
    /// The SVG element; empty where there is no point.
    pub(super) fn svg(&self) -> String {
        let points = || {
            self.lines
                .iter()
                .flat_map(|line| line.points.iter().copied())
        };
        if points().next().is_none() {
            return String::new();
        }
        let x_max = points().map(|(x, _)| x).fold(f64::MIN, f64::max);
        let x_low = points().map(|(x, _)| x).fold(f64::MAX, f64::min);
        let x_min = if self.x_marks.is_empty() { 0.0 } else { x_low };
        let y_max = points().map(|(_, y)| y).fold(f64::MIN, f64::max);
        let y_low = points().map(|(_, y)| y).fold(f64::MAX, f64::min);
        let y_axis = if self.by_decades {
            Axis::decades(y_low, y_max)
        } else {
            Axis::linear(0.0, y_max)
        };
        let x_axis = Axis::linear_within(x_min, x_max);
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(self.title),
            escaped(self.title)
        );
        self.draw_grid(&mut svg, &x_axis, &y_axis);
        for line in &self.lines {
            draw_line(&mut svg, line, &x_axis, &y_axis);
        }
        svg.push_str("</svg><p class=\"legend\">");
        for line in &self.lines {
            let style = if line.dashed { "dashed" } else { "solid" };
            svg.push_str(&format!(
                "<span><i class=\"c{} {style}\"></i>{}</span>",
                line.colour,
                escaped(&line.name)
            ));
        }
        svg.push_str("</p></figure>");
        svg
    }

    fn draw_grid(&self, svg: &mut String, x_axis: &Axis, y_axis: &Axis) {
        for (value, text) in &y_axis.marks {
            let y = down(y_axis.place(*value));
            svg.push_str(&format!(
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0
            ));
        }
        let marks = if self.x_marks.is_empty() {
            &x_axis.marks
        } else {
            &self.x_marks
        };
        for (value, text) in marks {
            let x = across(x_axis.place(*value));
            svg.push_str(&format!(
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{}\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 18.0,
                escaped(text)
            ));
        }
        svg.push_str(&format!(
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" x=\"{LEFT}\" y=\"{}\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 6.0,
            escaped(self.x_label),
            TOP - 10.0,
            escaped(self.y_label)
        ));
    }
}

fn draw_line(svg: &mut String, line: &Line, x_axis: &Axis, y_axis: &Axis) {
    let at = |(x, y): (f64, f64)| (across(x_axis.place(x)), down(y_axis.place(y)));
    let path: Vec<String> = line
        .points
        .iter()
        .map(|point| {
            let (x, y) = at(*point);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let style = if line.dashed { "dashed" } else { "solid" };
    svg.push_str(&format!(
        "<polyline class=\"line c{} {style}\" points=\"{}\"/>",
        line.colour,
        path.join(" ")
    ));
    for point in &line.points {
        let (x, y) = at(*point);
        svg.push_str(&format!(
            "<circle class=\"dot c{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{}: {}</title></circle>",
            line.colour,
            escaped(&line.name),
            number(point.1)
        ));
    }
}

/// From values to a place between 0 and 1.
#[derive(Debug)]
struct Axis {
    low: f64,
    high: f64,
    by_decades: bool,
    marks: Vec<(f64, String)>,
}

impl Axis {
    /// Whole decades around the values.
    fn decades(low: f64, high: f64) -> Self {
        let low = low.max(0.1).log10().floor();
        let high = high.max(0.2).log10().ceil().max(low + 1.0);
        let mut marks = Vec::new();
        let mut decade = low;
        while decade <= high {
            let value = 10_f64.powf(decade);
            marks.push((value, number(value)));
            decade += 1.0;
        }
        Self {
            low,
            high,
            by_decades: true,
            marks,
        }
    }

    /// Round numbers up to one that is not below the highest value.
    fn linear(low: f64, high: f64) -> Self {
        let step = round_step((high - low).max(f64::MIN_POSITIVE) / 5.0);
        let high = low + (((high - low) / step).ceil() * step).max(step);
        Self {
            high,
            ..Self::linear_within(low, high)
        }
    }

    /// Round numbers between the values themselves.
    fn linear_within(low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let step = round_step((high - low) / 5.0);
        let mut marks = Vec::new();
        let mut value = (low / step).ceil() * step;
        while value <= high + step * 1e-6 {
            marks.push((value, number(value)));
            value += step;
        }
        Self {
            low,
            high,
            by_decades: false,
            marks,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.by_decades {
            value.max(1e-3).log10()
        } else {
            value
        };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, not below the value.
fn round_step(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let found = steps.into_iter().find(|step| step * power >= value * 0.999);
    found.unwrap_or(10.0) * power
}

/// A number without digits that say nothing.
pub(super) fn number(value: f64) -> String {
    if value.abs() >= 1000.0 {
        let whole = format!("{value:.0}");
        let digits = whole.len();
        let mut text = String::with_capacity(digits + digits / 3);
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (digits - place).is_multiple_of(3) && text != "-" {
                text.push(' ');
            }
            text.push(digit);
        }
        return text;
    }
    let text = if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Text that is nothing but text in a page.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn across(place: f64) -> f64 {
    LEFT + place * (WIDTH - LEFT - RIGHT)
}

fn down(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - BOTTOM - TOP)
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_numbers_are_round() {
        assert!((round_step(0.7) - 1.0).abs() < 1e-9);
        assert!((round_step(1.2) - 2.0).abs() < 1e-9);
        assert!((round_step(34.0) - 50.0).abs() < 1e-9);
        assert_eq!(number(1_234_567.0), "1 234 567");
        assert_eq!(number(12.50), "12.5");
        assert_eq!(number(0.0), "0");
        assert_eq!(number(250.0), "250");
    }

    #[test]
    fn an_axis_holds_all_its_values() {
        let axis = Axis::decades(3.0, 40_000.0);
        assert!(axis.place(3.0) > 0.0 && axis.place(40_000.0) < 1.0);
        assert_eq!(axis.marks.len(), 6);
        let axis = Axis::linear(0.0, 0.43);
        assert!(axis.place(0.43) <= 1.0 && axis.place(0.0).abs() < 1e-9);
        let flat = Axis::linear_within(5.0, 5.0);
        assert!(flat.place(5.0).is_finite());
    }

    #[test]
    fn a_name_cannot_leave_its_place_and_no_points_are_no_chart() {
        let mut chart = Chart {
            title: "a < b",
            x_label: "x",
            y_label: "y",
            by_decades: false,
            x_marks: Vec::new(),
            lines: vec![Line {
                name: "<script>".to_owned(),
                colour: 0,
                dashed: false,
                points: vec![(1.0, 2.0), (2.0, 3.0)],
            }],
        };
        let svg = chart.svg();
        assert!(!svg.contains("<script>") && svg.contains("a &lt; b"));
        assert_eq!(svg.matches("<circle").count(), 2);
        chart.lines.clear();
        assert!(chart.svg().is_empty());
    }
}
