"""The HTTP edge: what pages ask and send, over the tables that follow Kafka."""
