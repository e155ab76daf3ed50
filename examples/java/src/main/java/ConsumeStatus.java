import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Follows what becomes of mail: BOOTSTRAP [STATUS ...]. Prints each change of status once, as a line of JSON
 * (docs/status-topics.md).
 */
public final class ConsumeStatus {
    private static final int REMEMBERED = 100_000; // ids; the same change may come again

    public static void main(String[] arguments) throws Exception {
        Set<String> wanted = Set.copyOf(List.of(arguments).subList(1, arguments.length));
        Set<String> done = Collections.newSetFromMap(new LinkedHashMap<>() {
            @Override
            protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
                return size() > REMEMBERED;
            }
        });
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", "example-status-java",
            "auto.offset.reset", "earliest",
            "enable.auto.commit", false);
        ObjectMapper json = new ObjectMapper();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("mail.status.inbound", "mail.status.outbound"));
            while (true) {
                for (var message : consumer.poll(Duration.ofSeconds(1))) {
                    JsonNode event = json.readTree(message.value());
                    JsonNode change = event.get("data");
                    boolean asked = wanted.isEmpty() || wanted.contains(change.get("status").asText());
                    if (done.add(event.get("id").asText()) && asked) {
                        System.out.println(json.writeValueAsString(change));
                    }
                }
                consumer.commitSync(); // after it was done: nothing is missed, and something may come twice
            }
        }
    }
}
