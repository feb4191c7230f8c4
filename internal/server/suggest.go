package server

import "strings"

// nearest is the name that was probably meant by a misspelt one, or empty: the
// closest by edits if a third of it or less is different, or one that it goes on
// from or breaks off.
func nearest(misspelt string, names []string) string {
	best, least := "", max(len(misspelt)/3, 1)+1
	for _, n := range names {
		if d := distance(misspelt, strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	for _, n := range names {
		if low := strings.ToLower(n); best == "" && min(len(low), len(misspelt)) >= 3 && (strings.HasPrefix(misspelt, low) || strings.HasPrefix(low, misspelt)) {
			best = n
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
