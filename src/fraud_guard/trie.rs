//! Which rules name a number: every list of every rule in one tree of digits, walked once however
//! many rules there are.

use std::collections::BTreeMap;

/// Position of a rule.
pub(super) type RuleIndex = u16;

/// How well a rule's list fits: 0 not at all, else one more than the octets of the prefix.
pub(super) type Fit = u8;

/// The whole number is in the list.
pub(super) const EXACT: Fit = Fit::MAX;

/// The rules that name a number, and how well: few, however many rules there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fits(Vec<(RuleIndex, Fit)>);

impl Fits {
    /// How well this rule fits.
    pub(super) fn of(&self, rule: RuleIndex) -> Fit {
        let mut known = self.0.iter();
        known
            .find(|(index, _)| *index == rule)
            .map_or(0, |(_, fit)| *fit)
    }

    /// This rule fits at least so well.
    pub(super) fn raise(&mut self, rule: RuleIndex, fit: Fit) {
        match self.0.iter_mut().find(|(index, _)| *index == rule) {
            Some((_, known)) => *known = fit.max(*known),
            None => self.0.push((rule, fit)),
        }
    }

    /// Each rule fits at least as well as in `others`.
    pub(super) fn raise_all(&mut self, others: &Self) {
        for (rule, fit) in &others.0 {
            self.raise(*rule, *fit);
        }
    }

    /// Only the rules that name all `octets` of the number.
    pub(super) fn whole(&self, octets: usize) -> Self {
        let whole = self.0.iter().filter(|(_, fit)| usize::from(*fit) > octets);
        Self(whole.map(|(rule, _)| (*rule, EXACT)).collect())
    }

    /// The rules that fit at all.
    pub(super) fn rules(&self) -> impl Iterator<Item = RuleIndex> {
        self.0.iter().map(|(index, _)| *index)
    }
}

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<u8, u32>,
    /// Child of each digit, 0: none. What is no digit is in `children`.
    digits: [u32; 10],
    begins: Vec<RuleIndex>,
    is: Vec<RuleIndex>,
}

impl Node {
    fn child(&self, octet: u8) -> Option<u32> {
        match octet.checked_sub(b'0').map(usize::from) {
            Some(digit) if digit < 10 => self.digits.get(digit).copied().filter(|next| *next > 0),
            Some(_) | None => self.children.get(&octet).copied(),
        }
    }
}

impl Trie {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }

    /// `rule` names what begins with `text`, or is it.
    pub(super) fn add(&mut self, text: &str, prefix: bool, rule: RuleIndex) {
        let mut at = 0_usize;
        for octet in text.bytes() {
            at = self.step(at, octet);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            let list = if prefix {
                &mut node.begins
            } else {
                &mut node.is
            };
            list.push(rule);
        }
    }

    fn step(&mut self, at: usize, octet: u8) -> usize {
        let known = self.nodes.get(at).and_then(|node| node.child(octet));
        if let Some(known) = known {
            return usize::try_from(known).unwrap_or(0);
        }
        let new = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(Node::default());
        if let Some(node) = self.nodes.get_mut(at) {
            let digit = octet.checked_sub(b'0').map(usize::from);
            match digit.and_then(|digit| node.digits.get_mut(digit)) {
                Some(place) => *place = new,
                None => {
                    node.children.insert(octet, new);
                }
            }
        }
        self.nodes.len() - 1
    }

    /// Raises the fit of each rule that names `text`.
    pub(super) fn find(&self, text: &str, fits: &mut Fits) {
        let mut raise = |rules: &[RuleIndex], fit: Fit| {
            for rule in rules {
                fits.raise(*rule, fit);
            }
        };
        let Some(mut node) = self.nodes.first() else {
            return;
        };
        raise(&node.begins, 1);
        for (position, octet) in text.bytes().enumerate() {
            let next = node
                .child(octet)
                .and_then(|next| usize::try_from(next).ok());
            let Some(next) = next.and_then(|next| self.nodes.get(next)) else {
                return;
            };
            node = next;
            let fit = Fit::try_from(position + 2)
                .unwrap_or(EXACT - 1)
                .min(EXACT - 1);
            raise(&node.begins, fit);
        }
        raise(&node.is, EXACT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_of_each_rule_is_found_and_exact_is_more() {
        let mut trie = Trie::new();
        trie.add("+44", true, 0);
        trie.add("+4420", true, 0);
        trie.add("+442071", false, 1);
        trie.add("", true, 2);
        trie.add("room-é", true, 3);
        let fits = |text: &str| {
            let mut fits = Fits::default();
            trie.find(text, &mut fits);
            [0, 1, 2, 3].map(|rule| fits.of(rule))
        };
        assert_eq!(fits("+442071"), [6, EXACT, 1, 0]);
        assert_eq!(fits("+442072"), [6, 0, 1, 0]);
        assert_eq!(fits("+441"), [4, 0, 1, 0]);
        assert_eq!(fits("+4"), [0, 0, 1, 0]);
        assert_eq!(fits("room-é1"), [0, 0, 1, 8]);
        assert_eq!(fits(""), [0, 0, 1, 0]);
    }
}
