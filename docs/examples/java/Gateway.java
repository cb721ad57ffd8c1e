import com.rabbitmq.client.*;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.*;
import java.security.cert.X509Certificate;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.BiPredicate;
import org.w3c.dom.Element;

/** A gateway with RabbitMQ's Java client, by docs/protocol.md: publishes confirmed, reads and checks, answers 01. */
final class Gateway {
    final String code;
    private final Checks checks;
    private final Map<String, Object> agency;
    private final Path store; // a folder for each delivery, with the document and the 01 that answers it

    Gateway(Path sandbox, String code, Path store) throws Exception {
        this.code = code;
        this.store = Files.createDirectories(store);
        checks = new Checks(sandbox);
        agency = Checks.at(Checks.at(checks.box, "agencies"), code);
    }

    byte[] sign(String message) throws Exception {
        List<X509Certificate> chain = Checks.pem(Checks.at(agency, "cert"));
        String key = Files.readString(Path.of(Checks.<String>at(agency, "key")));
        return EdXml.sign(message, EdXml.key(key, chain.get(0).getPublicKey().getAlgorithm()), chain);
    }

    /** Returns once the broker keeps it. Whatever is thrown instead: send the same id and the same bytes again. */
    void publish(String lane, String type, byte[] body, String id, String refersTo) throws Exception {
        try (Connection connection = Broker.connect(checks.box, agency)) {
            Channel channel = connection.createChannel();
            List<String> returned = new CopyOnWriteArrayList<>();
            channel.addReturnListener((status, text, exchange, key, properties, content) -> returned.add(text));
            channel.confirmSelect();
            channel.basicPublish("ingress", lane + "." + code, true, new AMQP.BasicProperties.Builder()
                    .deliveryMode(2).userId(Checks.at(agency, "user")).messageId(id).type(type)
                    .contentType("application/edxml+xml").correlationId(refersTo).build(), body);
            channel.waitForConfirmsOrDie(30_000);
            EdXml.need(returned.isEmpty(), "no queue took it: " + returned);
        }
    }

    /** Takes messages until one is what was waited for, and returns its signed root. */
    Element read(BiPredicate<AMQP.BasicProperties, Element> until, String dies) throws Exception {
        try (Connection connection = Broker.connect(checks.box, agency)) {
            Channel channel = connection.createChannel();
            BlockingQueue<Delivery> arrived = new LinkedBlockingQueue<>();
            channel.basicQos(20);
            channel.basicConsume("agency." + code, false, (name, delivery) -> arrived.add(delivery), name -> {});
            for (;;) {
                Delivery delivery = arrived.poll(60, TimeUnit.SECONDS);
                EdXml.need(delivery != null, code + ": nothing came within a minute");
                long tag = delivery.getEnvelope().getDeliveryTag();
                AMQP.BasicProperties properties = delivery.getProperties();
                Element root;
                try {
                    root = checks.check(code, properties, delivery.getBody());
                } catch (Exception fault) {
                    System.out.println(code + " rejects " + properties.getMessageId() + ": " + fault);
                    channel.basicReject(tag, false);
                    continue;
                }
                boolean document = properties.getType().equals("edoc");
                Path kept = document ? keep(properties, delivery.getBody(), root) : null;
                // Before the broker hears of it: it will deliver once more.
                if (properties.getMessageId().equals(dies)) return root;
                channel.basicAck(tag, false);
                if (document) { // the id of the 01 follows from the delivery, so that it stays over retries
                    String id = UUID.nameUUIDFromBytes((kept.getFileName() + "01").getBytes()).toString();
                    byte[] answer = Files.readAllBytes(kept.resolve("01.edxml"));
                    publish("status", "status", answer, id, properties.getMessageId());
                }
                if (until.test(properties, root)) return root;
            }
        }
    }

    /** Stores the document and the 01 that answers it, both or neither, unless they are there already. */
    private Path keep(AMQP.BasicProperties properties, byte[] body, Element root) throws Exception {
        UUID delivery = UUID.fromString(Checks.told(properties, "truc-delivery-id"));
        Path place = store.resolve(delivery.toString());
        boolean known = Files.exists(place);
        System.out.println(code + (known ? " drops a duplicate of " : " stores ") + properties.getMessageId());
        if (known) return place;
        Path draft = Files.createTempDirectory(store, "draft");
        durable(draft.resolve("document.edxml"), body);
        durable(draft.resolve("01.edxml"), sign(Checks.arrived(code, root)));
        return Files.move(draft, place, StandardCopyOption.ATOMIC_MOVE);
    }

    private static void durable(Path file, byte[] content) throws Exception {
        try (FileChannel out = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            for (ByteBuffer rest = ByteBuffer.wrap(content); rest.hasRemaining(); ) out.write(rest);
            out.force(true);
        }
    }
}
