//! A table whose entries are named by tokens. A token is never valid again once its entry is gone, so a late event of a
//! closed connection can't reach the connection that took its place.
//!
//! ```text
//! token = generation (32 bits) | index (32 bits)
//! ```

pub type Token = u64;

#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub fn insert(&mut self, value: T) -> Token {
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize].1 = Some(value);
                index
            }
            None => {
                self.entries.push((0, Some(value)));
                self.entries.len() as u32 - 1
            }
        };
        token(self.entries[index as usize].0, index)
    }

    pub fn get(&self, token: Token) -> Option<&T> {
        let (generation, value) = self.entries.get(token as u32 as usize)?;
        if u64::from(*generation) == token >> 32 { value.as_ref() } else { None }
    }

    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let (generation, value) = self.entries.get_mut(token as u32 as usize)?;
        if u64::from(*generation) == token >> 32 { value.as_mut() } else { None }
    }

    pub fn remove(&mut self, token: Token) -> Option<T> {
        let (generation, value) = self.entries.get_mut(token as u32 as usize)?;
        if u64::from(*generation) != token >> 32 {
            return None;
        }
        let value = value.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(token as u32);
        Some(value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Token, &T)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(index, (generation, value))| Some((token(*generation, index as u32), value.as_ref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Token, &mut T)> {
        self.entries
            .iter_mut()
            .enumerate()
            .filter_map(|(index, (generation, value))| Some((token(*generation, index as u32), value.as_mut()?)))
    }
}

fn token(generation: u32, index: u32) -> Token {
    u64::from(generation) << 32 | u64::from(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_dies_with_its_entry() {
        let mut slab = Slab::default();
        let first = slab.insert("a");
        assert_eq!(slab.remove(first), Some("a"));
        let second = slab.insert("b");
        assert_eq!(first as u32, second as u32);
        assert!(slab.get(first).is_none() && slab.get_mut(first).is_none() && slab.remove(first).is_none());
        assert_eq!(slab.get(second), Some(&"b"));
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(second, &"b")]);
        assert_eq!(slab.len(), 1);
    }
}
