package hashing

import "slices"

// Known devices go first, but every strangersTurn-th job is a stranger's if one
// waits, and as large a part of the queue is theirs: somebody with many known
// devices must not shut out everybody else.
const strangersTurn = 4

// queue is the jobs that wait for a worker, in two lanes. Its methods are called
// under the lock of the pool.
type queue struct {
	known, strangers lane
	streak           int // known ones that were taken since the last stranger
}

func (q *queue) len() int { return q.known.jobs + q.strangers.jobs }

func (q *queue) lane(c Caller) *lane {
	if c.Known {
		return &q.known
	}
	return &q.strangers
}

func (q *queue) push(j *job) { q.lane(j.caller).push(j) }

// remove takes j out and reports whether it was there.
func (q *queue) remove(j *job) bool { return q.lane(j.caller).remove(j) }

// next is the job whose turn it is, or nil. It stays so, whoever comes, until it
// is taken or removed, unless somebody known comes before a stranger.
func (q *queue) next() *job {
	switch {
	case q.strangers.jobs > 0 && (q.known.jobs == 0 || q.streak >= strangersTurn-1):
		return q.strangers.next()
	case q.known.jobs > 0:
		return q.known.next()
	}
	return nil
}

// take takes the next job.
func (q *queue) take() *job {
	j := q.next()
	if j.caller.Known {
		q.streak = min(q.streak+1, strangersTurn-1)
	} else {
		q.streak = 0
	}
	q.lane(j.caller).take()
	return j
}

// ahead is the work that is done before a job that c would bring now.
func (q *queue) ahead(c Caller) int64 {
	own, other := q.lane(c), q.lane(Caller{Known: !c.Known})
	before := own.ahead(c.Source)
	between := (q.streak + before) / (strangersTurn - 1) // strangers
	if !c.Known {
		between = (strangersTurn-1)*(before+1) - q.streak
	}
	return own.workOf(before) + other.workOf(min(between, other.jobs))
}

// displaced is the job that has to go from a full queue of size places for one
// that c brings, or nil if c has to: the youngest of the source that has most,
// in c's own lane if that makes it fairer, else in the other lane if c's lane
// has less than its part.
func (q *queue) displaced(c Caller, size int) *job {
	part := size / strangersTurn // of the strangers
	switch {
	case c.Known && q.strangers.jobs > part:
		return q.strangers.youngest(0)
	case !c.Known && q.strangers.jobs < part:
		return q.known.youngest(0)
	}
	own := q.lane(c)
	return own.youngest(own.count(c.Source) + 2) // afterwards c has no more than they
}

// lane is jobs in turns: each source gives one, and then it is the next
// source's turn.
type lane struct {
	turns []*line // the next one first; none is empty
	jobs  int
	work  int64
}

// line is the jobs of one source, the oldest first.
type line struct {
	source string
	jobs   []*job
}

func (l *lane) find(source string) int {
	return slices.IndexFunc(l.turns, func(x *line) bool { return x.source == source })
}

func (l *lane) count(source string) int {
	if i := l.find(source); i >= 0 {
		return len(l.turns[i].jobs)
	}
	return 0
}

func (l *lane) push(j *job) {
	i := l.find(j.caller.Source)
	if i < 0 {
		i = len(l.turns)
		l.turns = append(l.turns, &line{source: j.caller.Source})
	}
	l.turns[i].jobs = append(l.turns[i].jobs, j)
	l.jobs++
	l.work += j.work
}

func (l *lane) next() *job { return l.turns[0].jobs[0] }

// take takes the next job. Its source comes after all others now.
func (l *lane) take() {
	first := l.turns[0]
	l.drop(0, 0)
	if len(first.jobs) > 0 {
		copy(l.turns, l.turns[1:])
		l.turns[len(l.turns)-1] = first
	}
}

func (l *lane) remove(j *job) bool {
	i := l.find(j.caller.Source)
	if i < 0 {
		return false
	}
	k := slices.Index(l.turns[i].jobs, j)
	if k < 0 {
		return false
	}
	l.drop(i, k)
	return true
}

// drop takes a job out of its line, and the line out of the turns if it was the
// last.
func (l *lane) drop(i, k int) {
	x := l.turns[i]
	l.jobs--
	l.work -= x.jobs[k].work
	x.jobs = slices.Delete(x.jobs, k, k+1)
	if len(x.jobs) == 0 {
		l.turns = slices.Delete(l.turns, i, i+1)
	}
}

// ahead is how many jobs are taken before one that source would bring now.
func (l *lane) ahead(source string) int {
	i := l.find(source)
	if i < 0 {
		return len(l.turns)
	}
	own := len(l.turns[i].jobs)
	n := own
	for k, x := range l.turns {
		switch {
		case k < i:
			n += min(len(x.jobs), own+1)
		case k > i:
			n += min(len(x.jobs), own)
		}
	}
	return n
}

// workOf is about what n of the jobs take.
func (l *lane) workOf(n int) int64 {
	if n == 0 || l.jobs == 0 {
		return 0
	}
	return l.work / int64(l.jobs) * int64(n)
}

// youngest is the last job of the source that has most, if those are least or
// more, or nil.
func (l *lane) youngest(least int) *job {
	var most *line
	for _, x := range l.turns {
		if most == nil || len(x.jobs) > len(most.jobs) {
			most = x
		}
	}
	if most == nil || len(most.jobs) < least {
		return nil
	}
	return most.jobs[len(most.jobs)-1]
}
