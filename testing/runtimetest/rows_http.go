package runtimetest

// errorsAndKeys checks the forms of errors, and what needs a key.
func errorsAndKeys(s *site) {
	s.ask("", "GET", "/server_info", "").has(200, `"uptime":`, `"idle_time":`, `"resources":`)
	if s.Key != "" {
		for _, key := range []string{"", "wrong"} {
			for _, target := range []string{"/list_files", "/nothing", "/docs", "/openapi.json", "/sse", "/alive/"} {
				s.ask(key, "GET", target, "").is(403, `{"detail":"Invalid API Key"}`)
			}
		}
	}
	s.get("/nothing").has(404, `"Not Found"`)
	s.get("/execute_action").is(405, `{"detail":"Method Not Allowed"}`)
	for _, body := range []string{`{}`, `{"action":1}`, `[]`, `{"action":`} {
		s.post("/execute_action", body).has(422, `{"detail":"Invalid request parameters","errors":"`)
	}
	for event, want := range map[string]string{
		`{"x":1}`:                      "Internal server error: Unknown event type: ",
		`{"action":"dance","args":{}}`: "Internal server error: ",
		`{"action":"run","args":{}}`:   "has the wrong arguments: ",
		`{"action":"run","args":{"command":"true","no_such":1}}`:                "has the wrong arguments: ",
		`{"observation":"run","content":"","extras":{"command":"x"}}`:           "Internal server error: 400: Invalid action type",
		`{"action":"think","args":{"thought":"x"}}`:                             "Internal server error: 'ActionExecutor' object has no attribute 'think'",
		`{"action":"run","args":{"command":"true"},"source":"nobody"}`:          "Internal server error: 'nobody' is not a valid EventSource",
		`{"action":"edit","args":{"path":"/x","impl_source":"llm_based_edit"}}`: "Internal server error: ",
	} {
		a := s.event(event).has(500, want)
		var d map[string]string
		if a.json(&d); len(d) != 1 || d["detail"] == "" {
			a.fail("want an object with detail and nothing else")
		}
	}
}

// observations checks answers whole.
func observations(s *site) {
	p := s.in("t.txt")
	s.event(`{"action":"write","args":{"path":"hello.sh","content":"echo \"Hello, World!\""}}`).
		is(200, `{"message":"I wrote to the file `+s.in("hello.sh")+`.","observation":"write","content":"","extras":{"path":"`+s.in("hello.sh")+`"}}`)
	missing := "File not found: " + s.in("nope.txt") + ". Your current working directory is " + s.dir + "."
	s.event(`{"action":"read","args":{"path":"nope.txt"}}`).is(200, `{"message":"`+missing+`","observation":"error","content":"`+missing+`","extras":{"error_id":""}}`)
	s.write(p, "This is a test file.\nThis file is for testing purposes.")
	edit := func(command string) string {
		return `{"action":"edit","args":{"command":"` + command + `","path":"` + p + `","old_str":"test file","new_str":"sample file"}}`
	}
	s.event(edit("str_replace")).is(200, `{"message":"I edited the file `+p+`.","observation":"edit","content":"The file `+p+" has been edited. Here's the result of running `cat -n` on a snippet of "+p+
		`:\n     1\tThis is a sample file.\n     2\tThis file is for testing purposes.\n     3\t\nReview the changes and make sure they are as expected. Edit the file again if necessary.",`+
		`"extras":{"path":"`+p+`","prev_exist":false,"old_content":"test file","new_content":"sample file","impl_source":"oh_aci","diff":"--- `+p+`\n+++ `+p+`\n@@ -1 +1 @@\n-This is a test file.\n+This is a sample file.","_diff_cache":null}}`)
	if !s.shell {
		return
	}
	a := s.event(`{"action":"run","args":{"command":"echo hi"},"id":7,"timestamp":"2020-01-01T00:00:00","source":"agent","cause":3,"timeout":10}`)
	var run struct {
		Message, Observation, Content string
		Success                       bool
		Extras                        struct {
			Command  string
			Metadata map[string]any
			Hidden   bool
		}
		ID, Cause, Timestamp, Source any
	}
	a.json(&run)
	m := run.Extras.Metadata
	if run.Message != "Command `echo hi` executed with exit code 0." || run.Observation != "run" || run.Content != "hi" || !run.Success || run.Extras.Command != "echo hi" ||
		m["exit_code"] != 0.0 || m["pid"] != -1.0 || m["working_dir"] != s.dir || m["prefix"] != "" || m["suffix"] != done || run.ID != nil || run.Cause != nil || run.Timestamp != nil || run.Source != nil {
		a.fail("want the golden answer")
	}
	s.event(`{"action":"run","args":{"command":"echo a\necho b"}}`).has(200, `"observation":"error"`,
		`"content":"ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain them into a single command via && or ;\nProvided commands:\n(1) echo a\n(2) echo b"`)
	s.event(`{"action":"run","args":{"command":"echo a\necho b","hidden":true}}`).has(200, `"observation":"run"`, "Cannot execute multiple commands at once.")
}
