package instruments

import "github.com/prometheus/client_golang/prometheus"

// A metric is one that a System has. Its name ends in its unit, and its labels take few values: never the id of anything.
type metric struct {
	name, kind, help string
	labels           []string
	desc             *prometheus.Desc
}

// The kinds, as Prometheus calls them.
const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
)

// table is of all there are.
var table []*metric

func define(kind, name, help string, labels ...string) *metric {
	m := &metric{name, kind, help, labels, prometheus.NewDesc(name, help, labels, nil)}
	table = append(table, m)
	return m
}

// The metrics.
var (
	buildInfo  = define(gauge, "sandtree_build_info", "1, with the version of the program.", "version")
	uptime     = define(gauge, "sandtree_uptime_seconds", "Since the metrics were registered.")
	goroutines = define(gauge, "sandtree_goroutines", "Goroutines of the process.")

	actionsTotal = define(counter, "sandtree_actions_total",
		"Actions asked for that were answered, by the code of the answer; ok is an observation.", "code")
	actionDuration = define(histogram, "sandtree_action_duration_seconds", "From asking for an action to its answer, the wait for its turn included.")
	actionWait     = define(histogram, "sandtree_action_wait_seconds", "From asking for an action until its runtime begins with it.")
	waitingActions = define(gauge, "sandtree_waiting_actions", "Actions that wait for their turn at their runtime.")
	runningActions = define(gauge, "sandtree_running_actions", "Actions that runtimes are performing.")

	runtimes   = define(gauge, "sandtree_runtimes", "Runtimes that this process drives, by status.", "status")
	startPhase = define(histogram, "sandtree_start_phase_duration_seconds",
		"Of the starts of runtimes that became ready: each of their phases. One with a dot is a part of another.", "backend", "phase")

	actorsNow       = define(gauge, "sandtree_actors", "Actors, by kind.", "kind")
	mailboxMessages = define(gauge, "sandtree_mailbox_messages", "Messages in the mailboxes of all actors of a kind.", "kind")
	mailboxLongest  = define(gauge, "sandtree_mailbox_longest_messages", "Messages in the fullest mailbox of the actors of a kind.", "kind")
	actorFailures   = define(counter, "sandtree_actor_failures_total", "Ends of actors by a failure.", "kind")
	actorRestarts   = define(counter, "sandtree_actor_restarts_total", "Actors that their supervisor has restarted.", "kind")
	deadLetters     = define(counter, "sandtree_dead_letters_total", "Messages that nobody took, by the kind of the actor they were for.", "kind")

	transportDuration = define(histogram, "sandtree_transport_action_duration_seconds",
		"From sending an action to a sandbox to its end there, all tries included.", "backend")
	transportActions = define(counter, "sandtree_transport_actions_total",
		"Actions sent to sandboxes, by the code of their end; ok is an observation.", "backend", "code")
	requests = define(counter, "sandtree_transport_requests_total", "Requests to the servers in sandboxes.", "backend")
	retries  = define(counter, "sandtree_transport_retries_total", "Requests tried again after a failure that may pass.", "backend")
	resumes  = define(counter, "sandtree_transport_resumes_total", "Answers picked up again after a cut.", "backend")
	dials    = define(counter, "sandtree_transport_dials_total", "Connections opened, or tried to.", "backend")
	breakers = define(gauge, "sandtree_transport_breakers", "Sandboxes connected to, by the state of their circuit breaker.", "backend", "state")
	trips    = define(counter, "sandtree_transport_breaker_trips_total", "Circuit breakers that have opened.", "backend")

	starts = define(counter, "sandtree_backend_starts_total",
		"Sandboxes that a runtime has got: started cold, taken warm from a pool, found alive by a start, or attached to.", "backend", "how")
	startDuration   = define(histogram, "sandtree_backend_start_duration_seconds", "Starts of sandboxes that succeeded.", "backend")
	backendFailures = define(counter, "sandtree_backend_failures_total",
		"Operations on a backend that failed, after their retries.", "backend", "op", "code")

	poolWarm     = define(gauge, "sandtree_pool_warm_sandboxes", "Warm sandboxes that wait.", "backend")
	poolWanted   = define(gauge, "sandtree_pool_wanted_sandboxes", "Warm sandboxes that there should be by recent demand.", "backend")
	poolClaims   = define(counter, "sandtree_pool_claims_total", "Starts that asked for a warm sandbox, by whether there was one.", "backend", "result")
	poolFailures = define(counter, "sandtree_pool_failures_total", "Warm sandboxes that could not be started or ended by themselves.", "backend")

	commitDuration = define(histogram, "sandtree_journal_commit_duration_seconds", "Transactions of the journal, the wait for other processes included.")
	commitRecords  = define(histogram, "sandtree_journal_commit_records", "Events in one transaction of the journal, of those that had any.")
	commitFailures = define(counter, "sandtree_journal_commit_failures_total", "Transactions of the journal that were not committed.")
	logDuration    = define(histogram, "sandtree_journal_log_duration_seconds", "Writes to the journal's side file, after which an event is durable.")
	journalEvents  = define(counter, "sandtree_journal_events_total", "Events that this process has brought into the journal's database.")

	sweeps = define(counter, "sandtree_janitor_sweeps_total",
		"Looks of the janitor at all sandboxes of a backend, by whether they could be seen.", "backend", "result")
	sweptEnded  = define(counter, "sandtree_janitor_ended_total", "Sandboxes that the janitor has ended since nobody drove them.", "backend")
	sweptFailed = define(counter, "sandtree_janitor_failures_total", "Sandboxes that the janitor could not end.", "backend")
	orphans     = define(gauge, "sandtree_janitor_orphans", "Sandboxes that nobody drives, at the latest look.", "backend")

	spansTotal = define(counter, "sandtree_trace_spans_total",
		"Spans of traces, by what became of them: exported, dropped since too many waited, failed to be exported.", "result")
)
