// How another team reads the platform's facts in Go: a durable pull consumer on the stream
// EVENTS of its own NATS account. Prints one JSON line per fact, then acknowledges it.
//
//	NATS_URL=... NATS_CREDS=nats.creds go run . --limit 10 --seconds 60
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The position in the stream is kept by the server under this name: stop and go on as you like.
const durable = "example-go"

func main() {
	limit := flag.Int("limit", math.MaxInt, "end after so many facts")
	seconds := flag.Int("seconds", 10*365*86400, "end after this time")
	flag.Parse()
	if err := subscribe(*limit, time.Duration(*seconds)*time.Second); err != nil {
		fmt.Fprintf(os.Stderr, "subscribe: cannot read EVENTS with %s: %v\n", os.Getenv("NATS_CREDS"), err)
		os.Exit(1)
	}
}

func subscribe(limit int, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	client, err := nats.Connect(os.Getenv("NATS_URL"), nats.UserCredentials(os.Getenv("NATS_CREDS")), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer client.Close()
	js, err := jetstream.New(client)
	if err != nil {
		return err
	}
	config := jetstream.ConsumerConfig{Durable: durable, AckPolicy: jetstream.AckExplicitPolicy}
	consumer, err := js.CreateOrUpdateConsumer(ctx, "EVENTS", config)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for range limit {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if errors.Is(err, context.DeadlineExceeded) {
			return nil // The time being up is a way to end, no failure.
		}
		if err != nil {
			return err
		}
		if err := show(message); err != nil {
			return err
		}
		if err := message.DoubleAck(ctx); err != nil {
			return err
		}
	}
	return nil
}

// show prints a fact. It may come twice: keep (aggregate, version) of what you handled, skip what is not newer.
func show(message jetstream.Msg) error {
	headers := map[string]string{}
	for name, values := range message.Headers() {
		value, err := url.PathUnescape(values[0])
		if err != nil {
			return err
		}
		headers[strings.ToLower(name)] = value
	}
	version, err := strconv.ParseUint(headers["ce-sequence"], 10, 64)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"id": headers["ce-id"], "type": headers["ce-type"], "team": strings.Split(message.Subject(), ".")[4],
		"subject": headers["ce-subject"], "version": version,
	})
}
